using Spectre.Console;

namespace FusionGen.Cli.Output;

/// <summary>Tables of plain cells.</summary>
internal static class Tables
{
    /// <summary>An empty table; columns whose names start with <c>&gt;</c> hold numbers: aligned right, never wrapped.</summary>
    public static Table New(params string[] columns)
    {
        var table = new Table { Border = TableBorder.Simple, UseSafeBorder = true };
        foreach (var column in columns)
        {
            var isRight = column.StartsWith('>');
            table.AddColumn(new TableColumn(new Text(isRight ? column[1..] : column)) { NoWrap = isRight || table.Columns.Count == 0, Alignment = isRight ? Justify.Right : Justify.Left });
        }
        return table;
    }

    /// <summary>Adds a row of plain texts.</summary>
    public static void Row(this Table table, params string[] cells) => table.AddRow(cells.Select(cell => (Spectre.Console.Rendering.IRenderable)new Text(cell)));
}
