using System.Text.RegularExpressions;
using FusionGen.Compiler.Problems;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace FusionGen.Compiler.Spec.Yaml;

/// <summary>Reads the plain part of YAML that specs use (maps, lists, scalars) into positioned nodes; the rest of YAML is refused by name.</summary>
internal sealed class YamlReader
{
    private const int MaxDepth = 32;
    private const int MaxLength = 1 << 18;

    private readonly string text;
    private readonly string documentKey;
    private readonly int offset;
    private readonly Parser parser;
    private readonly TextLines lines;
    private readonly ProblemList problems = new();
    private readonly SortedDictionary<string, TextRange> positions = new(StringComparer.Ordinal);

    private YamlReader(string text, string documentKey)
    {
        this.text = text;
        this.documentKey = documentKey;
        this.offset = text.Length > 0 && text[0] == '\uFEFF' ? 1 : 0;
        this.lines = new TextLines(text);
        this.parser = new Parser(new StringReader(text.Substring(this.offset)));
    }

    private ParsingEvent Current => this.parser.Current!;

    private int EventStart => this.offset + (int)this.Current.Start.Index;

    private int EventEnd => this.offset + (int)this.Current.End.Index;

    /// <summary>Reads a text. Never throws for any text.</summary>
    /// <param name="text">YAML.</param>
    /// <param name="documentKey">The key that says what the document is (<c>fusiongen</c>).</param>
    public static YamlTree Read(string text, string documentKey) => new YamlReader(text, documentKey).Document();

    private YamlTree Document()
    {
        YamlNode? root = null;
        try
        {
            if (this.text.Length > MaxLength)
                this.Report(ProblemCatalogue.Size, "", 0, 0, Text.Invariant(this.text.Length), Text.Invariant(MaxLength));
            else
                root = this.Root();
        }
        catch (TooDeepException)
        {
            this.Report(ProblemCatalogue.Depth, SpecPositions.Part("", "depth"), this.EventStart, this.EventStart + 1, Text.Invariant(MaxDepth));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // YamlDotNet reports most of what it refuses by YamlException, but some broken texts escape as
            // InvalidOperationException and others, without a place: the end of the last event is the best known one.
            this.ReportSyntax(e);
        }

        if (!this.positions.ContainsKey(""))
            this.positions[""] = this.lines.Range(this.Skip(this.offset), this.Skip(this.offset));
        var positions = new SpecPositions(this.positions.Select(p => new NodePosition(p.Key, p.Value)).ToEquatableArray());
        return new YamlTree(root, positions, this.problems);
    }

    private YamlNode? Root()
    {
        this.Next();
        this.Next();
        if (this.Current is StreamEnd)
        {
            this.problems.Add(ProblemCatalogue.Empty.At("", this.documentKey == "fusiongen" ? "spec" : "policy", this.documentKey));
            return null;
        }

        this.Next();
        var root = this.Node("", 0);
        this.Next();
        this.Next();
        if (this.Current is DocumentStart)
            this.Report(ProblemCatalogue.Documents, SpecPositions.Part("", "document"), this.EventStart, this.EventEnd);
        if (root is YamlScalar { IsNull: true })
        {
            this.problems.Add(ProblemCatalogue.Empty.At("", this.documentKey == "fusiongen" ? "spec" : "policy", this.documentKey));
            return null;
        }

        return root;
    }

    // On entry the current event opens the node; on exit it is the node's last.
    private YamlNode Node(string path, int depth)
    {
        if (depth > MaxDepth)
            throw new TooDeepException();
        YamlNode node = this.Current switch
        {
            AnchorAlias alias => this.Refuse(alias, path),
            Scalar scalar => new YamlScalar(path, this.EventStart, this.EventEnd, scalar.Value, scalar.Style == ScalarStyle.Plain),
            SequenceStart start => this.List(path, depth, start.Style == SequenceStyle.Flow),
            MappingStart start => this.Map(path, depth, start.Style == MappingStyle.Flow),
            var other => throw new InvalidOperationException($"unexpected {other.GetType().Name}"),
        };
        if (!this.positions.ContainsKey(path))
            this.positions[path] = this.lines.Range(node.Start, node is YamlMap { Flow: false, Entries: { Count: > 0 } entries } ? entries[0].End : node.End);
        return node;
    }

    private YamlInvalid Refuse(AnchorAlias alias, string path)
    {
        this.Report(ProblemCatalogue.Alias, path, this.EventStart, this.EventEnd, alias.Value.Value);
        return new YamlInvalid(path, this.EventStart, this.EventEnd);
    }

    private YamlList List(string path, int depth, bool flow)
    {
        this.RefuseProperties((NodeEvent)this.Current, path);
        var (start, end) = (this.EventStart, this.EventEnd);
        var items = new List<YamlNode>();
        for (this.Next(); this.Current is not SequenceEnd; this.Next())
        {
            var item = this.Item(SpecPositions.Item(path, items.Count), depth + 1);
            items.Add(item);
            end = item.End;
        }

        // A flow collection's end event stands on its bracket; a block collection's stands on whatever follows.
        return new YamlList(path, start, flow ? this.EventStart + 1 : end, items);
    }

    private YamlMap Map(string path, int depth, bool flow)
    {
        this.RefuseProperties((NodeEvent)this.Current, path);
        var (start, end) = (this.EventStart, this.EventEnd);
        var entries = new List<YamlEntry>();
        var keys = new HashSet<string>(StringComparer.Ordinal);
        var again = 0;
        for (this.Next(); this.Current is not MappingEnd; this.Next())
        {
            if (this.Current is not Scalar key)
            {
                var place = SpecPositions.Part(path, Text.Invariant(++again));
                var odd = this.Item(place, depth + 1);
                if (odd is not YamlInvalid)
                    this.Report(ProblemCatalogue.Key, place, odd.Start, odd.End, odd.Describe());
                this.Next();
                end = this.Item(SpecPositions.Part(path, Text.Invariant(++again)), depth + 1).End;
                continue;
            }

            var child = SpecPositions.Child(path, key.Value);
            this.RefuseProperties(key, SpecPositions.Key(child));
            var (keyStart, keyEnd) = (this.EventStart, this.EventEnd);
            if (key.Value == "<<" && key.Style == ScalarStyle.Plain)
                this.Report(ProblemCatalogue.Merge, SpecPositions.Key(child), keyStart, keyEnd);
            else if (!keys.Add(key.Value))
                this.Report(ProblemCatalogue.Duplicate, child = SpecPositions.Part(child, Text.Invariant(++again)), keyStart, keyEnd, key.Value, Name(path));
            else
                this.positions[SpecPositions.Key(child)] = this.lines.Range(keyStart, keyEnd);
            this.Next();
            var value = this.Item(child, depth + 1);
            end = Math.Max(keyEnd, value.End);
            if (keys.Count > entries.Count)
                entries.Add(new YamlEntry(key.Value, keyStart, keyEnd, value));
        }

        return new YamlMap(path, start, flow ? this.EventStart + 1 : end, flow, entries);
    }

    private YamlNode Item(string path, int depth)
    {
        if (this.Current is Scalar scalar)
            this.RefuseProperties(scalar, path);
        return this.Node(path, depth);
    }

    private void RefuseProperties(NodeEvent node, string path)
    {
        if (!node.Anchor.IsEmpty)
            this.Report(ProblemCatalogue.Anchor, SpecPositions.Part(path, "anchor"), this.EventStart, this.EventStart + node.Anchor.Value.Length + 1, node.Anchor.Value);
        if (!node.Tag.IsEmpty)
        {
            var end = this.EventStart;
            while (end < this.text.Length && !char.IsWhiteSpace(this.text[end]))
                end++;
            this.Report(ProblemCatalogue.Tag, SpecPositions.Part(path, "tag"), this.EventStart, end, this.text.Substring(this.EventStart, end - this.EventStart));
        }
    }

    private void Next()
    {
        if (!this.parser.MoveNext())
            throw new InvalidOperationException("the text ends too early");
    }

    private void ReportSyntax(Exception exception)
    {
        var last = this.parser.Current is null ? this.offset : this.EventEnd;
        var (place, message) = exception is YamlException yaml
            ? (Math.Max(this.offset + (int)yaml.Start.Index, last), yaml.Message.Trim().TrimEnd('.'))
            : (last, "the text breaks off");
        if (Brackets.FindMismatch(this.text) is { } bracket)
            (place, message) = bracket;
        else if (Regex.Match(this.text.Substring(place), "(?<=\n *)\t") is { Success: true } tab && message.Contains("tab"))
            place += tab.Index;
        place = this.Skip(place);
        this.Report(ProblemCatalogue.Syntax, SpecPositions.Part("", "syntax"), place, place + 1, message + ".");
    }

    private int Skip(int index)
    {
        while (index < this.text.Length && this.text[index] is ' ' or '\r' or '\n')
            index++;
        return Math.Min(index, this.text.Length);
    }

    private void Report(ProblemKind kind, string node, int start, int end, params string[] arguments)
    {
        this.positions[node] = this.lines.Range(start, end);
        this.problems.Add(kind.At(node, arguments));
    }

    private static string Name(string path) => path.Length == 0 ? "the document" : $"'{path}'";

    private sealed class TooDeepException : Exception;
}
