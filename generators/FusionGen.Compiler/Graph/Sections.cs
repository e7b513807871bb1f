namespace FusionGen.Compiler.Graph;

/// <summary>A part of a network that reads parameters and what the part before it hands on: the embedding, a block, the head.</summary>
public sealed class Section
{
    private IReadOnlyList<ParameterOp>? parameters;
    private Dictionary<string, int>? own;
    private int[]? indices;
    private int? mixture;

    internal Section(string scope, int index)
    {
        (this.Scope, this.Index) = (scope, index);
        (this.Same, this.Like) = (this, this);
    }

    /// <summary>Its values' scope.</summary>
    public string Scope { get; }

    /// <summary>Its place in the chain.</summary>
    public int Index { get; }

    /// <summary>The first section that is the same function as this one; itself where there is none before.</summary>
    public Section Same { get; internal set; }

    /// <summary>The first section that is the same function as this one, between neighbours that are the same as this one's; itself where there is none before.</summary>
    public Section Like { get; internal set; }

    /// <summary>How many are like it, where it is the first; itself counted.</summary>
    public int Times { get; internal set; } = 1;

    /// <summary>Parameters that it alone reads; those of sections that are alike correspond, in this order.</summary>
    public IReadOnlyList<ParameterOp> Parameters => this.parameters ??= [.. this.Values.Select(value => value.Op).OfType<ParameterOp>()];

    /// <summary>The layer whose mixture it reads; -1 for none.</summary>
    public int Mixture => this.mixture ??= this.Values.Find(value => value.Op is MixtureOp)?.Op is MixtureOp read ? read.Layer : -1;

    /// <summary>Where among its own parameters one is; -1 where it is not its own.</summary>
    internal int IndexOf(ParameterOp parameter)
    {
        if (this.own is null)
        {
            this.own = new Dictionary<string, int>(StringComparer.Ordinal);
            foreach (var one in this.Parameters)
                this.own.Add(one.Name, this.own.Count);
        }
        return this.own.TryGetValue(parameter.Name, out var index) ? index : -1;
    }

    /// <summary>Where in its network's table its own parameters are.</summary>
    internal int[] Indices(ParameterTable table) => this.indices ??= [.. this.Parameters.Select(table.IndexOf)];

    /// <summary>What it computes, and the leaves that it alone reads.</summary>
    internal List<Value> Values { get; } = [];

    /// <summary>What the next section reads.</summary>
    internal List<Value> Exits { get; } = [];

}

/// <summary>
/// A network as a chain of sections, beside values that all may read: most layers of a transformer are the same function of other parameters. What
/// passes, gradients and memory make of a layer depends on the layer and its neighbours alone, so a network in which every kind of neighbourhood
/// occurs says everything about one in which they occur often: it is rewritten, differentiated and planned short, and laid out in full.
/// </summary>
public sealed class Sections
{
    private const int Common = -1;
    private const int Unread = -2;
    private readonly List<Section> all = [];
    private readonly Dictionary<string, Section?> byScope = new(StringComparer.Ordinal);
    private readonly HashSet<string> commonParameters = new(StringComparer.Ordinal);
    // By the values' ids: the section that owns it, and its place there.
    private readonly int[] owners;
    private readonly int[] places;
    private IReadOnlyList<Section>? shorter;

    /// <summary>Finds the sections of a network.</summary>
    internal Sections(IReadOnlyList<Value> values)
    {
        var count = values[values.Count - 1].Id + 1;
        (this.owners, this.places) = (new int[count], new int[count]);
        foreach (var value in values)
            this.owners[value.Id] = value.IsLeaf ? Unread : value.Scope == GraphBuilder.SharedScope ? Common : this.Enter(value.Scope).Index;
        foreach (var value in values)
        {
            var owner = this.owners[value.Id];
            for (var i = 0; i < value.InputArray.Length && !value.IsLeaf; i++)
            {
                var input = value.InputArray[i];
                if (input.IsLeaf)
                    this.owners[input.Id] = this.owners[input.Id] is Unread ? owner : this.owners[input.Id] == owner ? owner : Common;
            }
        }
        this.IsChain = true;
        var sizes = new int[this.all.Count];
        foreach (var value in values)
        {
            if (this.owners[value.Id] is >= 0 and var owner)
                sizes[owner]++;
        }
        for (var i = 0; i < sizes.Length; i++)
            this.all[i].Values.Capacity = sizes[i];
        foreach (var value in values)
        {
            var owner = this.owners[value.Id];
            if (owner >= 0)
            {
                this.places[value.Id] = this.all[owner].Values.Count;
                this.all[owner].Values.Add(value);
            }
            else if (value.Op is ParameterOp parameter)
            {
                this.commonParameters.Add(parameter.Name);
            }
            foreach (var input in value.InputArray)
                this.IsChain &= this.Reads(owner, input);
        }
        if (this.IsChain)
            this.FindAlike();
    }

    /// <summary>The chain.</summary>
    public IReadOnlyList<Section> All => this.all;

    /// <summary>Whether every section reads only the one before it and what is common.</summary>
    public bool IsChain { get; }

    /// <summary>Enough of the chain for every section to have one like it, and next to each other only what is so somewhere in the chain.</summary>
    public IReadOnlyList<Section> Short => this.shorter ??= this.Shorten();

    /// <summary>The section of a scope, or of its gradients; null for what is common.</summary>
    public Section? Find(string scope)
    {
        if (!this.byScope.TryGetValue(scope, out var section) && scope.EndsWith(GraphBuilder.GradientSuffix, StringComparison.Ordinal))
        {
            this.byScope.TryGetValue(scope.Substring(0, scope.Length - GraphBuilder.GradientSuffix.Length), out section);
            this.byScope.Add(scope, section);
        }
        return section;
    }

    /// <summary>The section that alone reads a leaf, one that <see cref="Short"/> keeps; null for others.</summary>
    internal Section? OwnerOf(Value leaf) => leaf.Op is ParameterOp parameter ? this.Short.FirstOrDefault(section => section.IndexOf(parameter) >= 0) : this.Find(leaf.Scope);

    /// <summary>Whether several sections may read a value: a leaf that is not one section's own, or something that depends on parameters only.</summary>
    public bool IsCommon(Value value) => value.Op is ParameterOp parameter ? this.commonParameters.Contains(parameter.Name) : !value.IsLeaf && value.Scope == GraphBuilder.SharedScope;

    private List<Section> Shorten()
    {
        var kept = new List<Section>();
        var seen = new HashSet<Section>();
        for (var i = 0; i < this.all.Count; i++)
        {
            kept.Add(this.all[i]);
            seen.Add(this.all[i].Like);
            // Up to another one like this one, what follows may be left out if nothing in it is new.
            var end = i;
            for (var next = i + 1; next < this.all.Count && seen.Contains(this.all[next].Like); next++)
                end = this.all[next].Like == this.all[i].Like ? next : end;
            i = end;
        }
        return kept;
    }

    private Section Enter(string scope)
    {
        if (!this.byScope.TryGetValue(scope, out var section))
        {
            this.byScope.Add(scope, section = new Section(scope, this.all.Count));
            this.all.Add(section);
        }
        return section!;
    }

    /// <summary>Notes what a section hands on; false where something is read that may not be.</summary>
    private bool Reads(int reader, Value input)
    {
        var owner = this.owners[input.Id];
        if (owner == reader || owner == Common)
            return true;
        if (reader < 0 || owner != reader - 1 || !input.Shape.IsPerSample)
            return false;
        if (!this.all[owner].Exits.Contains(input))
            this.all[owner].Exits.Add(input);
        return true;
    }

    private void FindAlike()
    {
        var distinct = new List<Section>();
        foreach (var section in this.all)
        {
            var known = distinct.Find(other => this.AreSame(other, section));
            if (known is null)
                distinct.Add(known = section);
            section.Same = known;
        }
        var seen = new Dictionary<(Section?, Section, Section?), Section>();
        foreach (var section in this.all)
        {
            var i = section.Index;
            var key = (i > 0 ? this.all[i - 1].Same : null, section.Same, i + 1 < this.all.Count ? this.all[i + 1].Same : null);
            if (seen.TryGetValue(key, out var like))
            {
                section.Like = like;
                like.Times++;
            }
            else
            {
                seen.Add(key, section);
            }
        }
    }

    /// <summary>Whether two sections are the same function of what is handed to them, of their own parameters and of what is common.</summary>
    private bool AreSame(Section one, Section other)
    {
        if (one.Values.Count != other.Values.Count || one.Exits.Count != other.Exits.Count)
            return false;
        for (var i = 0; i < one.Values.Count; i++)
        {
            var (a, b) = (one.Values[i], other.Values[i]);
            if (a.IsTracked != b.IsTracked || a.InputArray.Length != b.InputArray.Length || a.Hint != b.Hint || !AreSame(a.Op, b.Op))
                return false;
            for (var input = 0; input < a.InputArray.Length; input++)
            {
                if (!this.AreSame(one, a.InputArray[input], other, b.InputArray[input]))
                    return false;
            }
        }
        for (var i = 0; i < one.Exits.Count; i++)
        {
            if (this.places[one.Exits[i].Id] != this.places[other.Exits[i].Id])
                return false;
        }
        return true;
    }

    private bool AreSame(Section one, Value a, Section other, Value b)
    {
        var owner = this.owners[a.Id];
        if (owner == Common)
            return a == b;
        if (owner == one.Index)
            return this.owners[b.Id] == other.Index && this.places[a.Id] == this.places[b.Id];
        return this.owners[b.Id] == other.Index - 1 && a.IsTracked == b.IsTracked && a.Shape == b.Shape && this.all[owner].Exits.IndexOf(a) == this.all[other.Index - 1].Exits.IndexOf(b);
    }

    private static bool AreSame(Op a, Op b) => (a, b) switch
    {
        (ParameterOp one, ParameterOp other) => one.Role == other.Role && one.Shape == other.Shape,
        (MixtureOp one, MixtureOp other) => one.Candidates == other.Candidates && one.Log == other.Log,
        _ => a.Equals(b),
    };
}
