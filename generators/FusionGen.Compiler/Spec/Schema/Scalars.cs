using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>Free text, or text of a form: a problem's text for what breaks it, null for what does not.</summary>
internal sealed class TextSchema(string? pattern = null, Func<YamlScalar, Problem?>? check = null) : ScalarSchema<string>
{
    /// <inheritdoc/>
    public override string Expected => "text";

    /// <inheritdoc/>
    public override void Write(string value, JsonWriter json) => json.Value(value);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, string initial)
    {
        json.Key("type").Value("string");
        if (pattern is not null)
            json.Key("pattern").Value(pattern);
    }

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref string value)
    {
        value = scalar.Value;
        if (check?.Invoke(scalar) is not { } problem)
            return true;
        problems.Add(problem);
        return false;
    }
}

/// <summary>One of a few words.</summary>
internal sealed class ChoiceSchema<T>(string what, params (string Word, T Value)[] choices) : ScalarSchema<T>
{
    /// <inheritdoc/>
    public override string Expected => "one of " + Words.Comma(choices.Select(c => c.Word));

    /// <inheritdoc/>
    public override void Write(T value, JsonWriter json) => json.Value(this.Word(value));

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, T initial)
    {
        json.Key("enum").Values(choices.Select(c => c.Word));
        if (choices.Any(c => EqualityComparer<T>.Default.Equals(c.Value, initial)))
            json.Key("default").Value(this.Word(initial));
    }

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref T value)
    {
        foreach (var choice in choices)
        {
            if (choice.Word == scalar.Value)
            {
                value = choice.Value;
                return true;
            }
        }

        var words = choices.Select(c => c.Word).ToList();
        problems.Add(ProblemCatalogue.Choice.At(scalar.Path, what, scalar.Value, Nearest.Suggest(scalar.Value, words), Words.Comma(words)));
        return false;
    }

    private string Word(T value) => choices.First(c => EqualityComparer<T>.Default.Equals(c.Value, value)).Word;
}

/// <summary>Yes or no.</summary>
internal sealed class FlagSchema : ScalarSchema<bool>
{
    /// <inheritdoc/>
    public override string Expected => "true or false";

    /// <inheritdoc/>
    public override void Write(bool value, JsonWriter json) => json.Value(value);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, bool initial) => json.Key("type").Value("boolean").Key("default").Value(initial);

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref bool value)
    {
        if (!scalar.Plain || scalar.Value is not ("true" or "false"))
        {
            return this.WrongType(scalar, problems, scalar.Value.ToLowerInvariant() switch
            {
                "true" or "yes" or "on" or "y" or "1" => " Did you mean 'true'?",
                "false" or "no" or "off" or "n" or "0" => " Did you mean 'false'?",
                _ => "",
            });
        }

        value = scalar.Value == "true";
        return true;
    }
}

/// <summary>A number, whole or not, within bounds. Null, where legal, is NaN.</summary>
internal sealed class NumberSchema(bool whole, double minimum, double maximum, bool above = false, bool nullable = false) : ScalarSchema<double>
{
    private static readonly Regex Form = new(@"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$", RegexOptions.CultureInvariant);

    /// <inheritdoc/>
    public override string Expected => (whole ? "a whole number " : "a number ") + this.Bounds + (nullable ? ", or null" : "");

    /// <inheritdoc/>
    protected override bool AcceptsNull => nullable;

    private string Bounds => (above, double.IsInfinity(maximum)) switch
    {
        (false, false) => $"from {Text.Invariant(minimum)} to {Text.Invariant(maximum)}",
        (true, false) => $"above {Text.Invariant(minimum)} and at most {Text.Invariant(maximum)}",
        (false, true) => $"of at least {Text.Invariant(minimum)}",
        (true, true) => $"above {Text.Invariant(minimum)}",
    };

    /// <inheritdoc/>
    public override void Write(double value, JsonWriter json) => json.Value(value);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, double initial)
    {
        var type = whole ? "integer" : "number";
        if (nullable)
            json.Key("type").Values([type, "null"]);
        else
            json.Key("type").Value(type);
        json.Key(above ? "exclusiveMinimum" : "minimum").Value(minimum);
        if (!double.IsInfinity(maximum))
            json.Key("maximum").Value(maximum);
        if (nullable || (initial >= minimum && !(above && initial <= minimum)))
            json.Key("default").Value(initial);
    }

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref double value)
    {
        if (scalar.IsNull && nullable)
        {
            value = double.NaN;
            return true;
        }

        if (!scalar.Plain || !Form.IsMatch(scalar.Value) || !double.TryParse(scalar.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            || (whole && number != Math.Floor(number)))
        {
            return this.WrongType(scalar, problems, Hint(scalar));
        }

        if (double.IsInfinity(number) || number < minimum || number > maximum || (above && number <= minimum))
        {
            problems.Add(ProblemCatalogue.Range.At(scalar.Path, Words.Last(scalar.Path), scalar.Value, this.Expected));
            return false;
        }

        value = number;
        return true;
    }

    private static string Hint(YamlScalar scalar)
    {
        var point = scalar.Value.Replace(',', '.').Replace("_", "").Replace(" ", "");
        return Form.IsMatch(point) ? $" Did you mean '{point}'?" : "";
    }
}

/// <summary>A share, written in per cent; read as a fraction of one.</summary>
internal sealed class PercentSchema : ScalarSchema<double>
{
    private static readonly Regex Form = new("^([0-9]+(?:\\.[0-9]+)?) ?%$", RegexOptions.CultureInvariant);

    /// <inheritdoc/>
    public override string Expected => "a share such as '0.75%'";

    /// <inheritdoc/>
    public override void Write(double value, JsonWriter json) => json.Value(value);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, double initial) => json.Key("type").Value("string").Key("pattern").Value(Form.ToString());

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref double value)
    {
        var match = Form.Match(scalar.Value);
        if (!match.Success)
            return this.Malformed(scalar, problems, Form.IsMatch(scalar.Value.Replace(',', '.') + "%") ? $" Did you mean '{scalar.Value.Replace(',', '.')}%'?" : "");
        var percent = double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
        if (percent is not (> 0 and <= 100))
        {
            problems.Add(ProblemCatalogue.Range.At(scalar.Path, Words.Last(scalar.Path), scalar.Value, "above 0% and at most 100%"));
            return false;
        }

        value = percent / 100;
        return true;
    }
}

/// <summary>An amount of memory, written in binary units; read as bytes.</summary>
internal sealed class SizeSchema : ScalarSchema<double>
{
    private static readonly Regex Form = new("^([0-9]+(?:\\.[0-9]+)?) ?([KMGT])iB$", RegexOptions.CultureInvariant);

    /// <inheritdoc/>
    public override string Expected => "a size such as '512MiB' or '4GiB'";

    /// <inheritdoc/>
    public override void Write(double value, JsonWriter json) => json.Value(value);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, double initial) => json.Key("type").Value("string").Key("pattern").Value(Form.ToString());

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref double value)
    {
        var match = Form.Match(scalar.Value);
        if (!match.Success)
            return this.Malformed(scalar, problems, Hint(scalar.Value));
        var bytes = double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * Math.Pow(1024, 1 + "KMGT".IndexOf(match.Groups[2].Value, StringComparison.Ordinal));
        if (bytes is not (> 0 and < 1L << 53))
        {
            problems.Add(ProblemCatalogue.Range.At(scalar.Path, Words.Last(scalar.Path), scalar.Value, "above 0 and below 8192TiB"));
            return false;
        }

        value = Math.Floor(bytes);
        return true;
    }

    private static string Hint(string text)
    {
        var match = Regex.Match(text, "^([0-9]+(?:\\.[0-9]+)?) ?([kKmMgGtT])(i?[bB])?$", RegexOptions.CultureInvariant);
        return match.Success ? $" Did you mean '{match.Groups[1].Value}{match.Groups[2].Value.ToUpperInvariant()}iB'?" : "";
    }
}
