using System.Globalization;
using System.Text;

namespace FusionGen.Compiler;

/// <summary>Writes JSON, indented by two spaces or compact; keys come in the order they are written.</summary>
internal sealed class JsonWriter(bool indented)
{
    private readonly StringBuilder text = new();
    private int depth;
    private bool first = true;
    private bool afterKey;

    public JsonWriter Object(Action content) => this.Nested('{', content, '}');

    public JsonWriter Array(Action content) => this.Nested('[', content, ']');

    public JsonWriter Key(string name)
    {
        this.Next();
        this.Quote(name);
        this.text.Append(indented ? ": " : ":");
        this.afterKey = true;
        return this;
    }

    public JsonWriter Value(string value)
    {
        this.Next();
        this.Quote(value);
        return this;
    }

    public JsonWriter Value(double value) => this.Raw(double.IsNaN(value) ? "null" : value.ToString("R", CultureInfo.InvariantCulture));

    public JsonWriter Value(long value) => this.Raw(value.ToString(CultureInfo.InvariantCulture));

    public JsonWriter Value(bool value) => this.Raw(value ? "true" : "false");

    public JsonWriter Null() => this.Raw("null");

    public JsonWriter Values(IEnumerable<string> values) => this.Array(() =>
    {
        foreach (var value in values)
            this.Value(value);
    });

    public override string ToString() => this.text + (indented ? "\n" : "");

    private JsonWriter Raw(string value)
    {
        this.Next();
        this.text.Append(value);
        return this;
    }

    private JsonWriter Nested(char open, Action content, char close)
    {
        this.Next();
        this.text.Append(open);
        this.depth++;
        this.first = true;
        content();
        this.depth--;
        if (!this.first)
            this.Line();
        this.text.Append(close);
        this.first = false;
        return this;
    }

    private void Next()
    {
        if (!this.afterKey && this.depth > 0)
        {
            if (!this.first)
                this.text.Append(',');
            this.Line();
        }

        this.first = this.afterKey = false;
    }

    private void Line()
    {
        if (indented)
            this.text.Append('\n').Append(' ', 2 * this.depth);
    }

    private void Quote(string value)
    {
        this.text.Append('"');
        foreach (var c in value)
        {
            if (c is '"' or '\\')
                this.text.Append('\\').Append(c);
            else if (c < ' ')
                this.text.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
            else
                this.text.Append(c);
        }

        this.text.Append('"');
    }
}
