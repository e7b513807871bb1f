using System.Collections;
using System.Reflection;
using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

namespace FusionGen.Generators.Tests;

/// <summary>What passes between steps must be values: a symbol or tree kept alive there leaks whole compilations and is never equal.</summary>
internal sealed class ObjectGraphTests
{
    [Test]
    public void Steps_hand_on_values_only()
    {
        var run = new Harness(
            ("specs/a.fusion.yaml", Specs.Named("A")), ("specs/a.policy.yaml", Specs.Policy(Specs.Named("A"), "add", "affine")),
            ("specs/b.fusion.yaml", Specs.Named("B").Replace("classes: 3", "classes: x"))).Run();
        var seen = 0;
        // The first step still holds the text it read; it is the only one.
        foreach (var (name, steps) in run.Result.TrackedSteps.Where(s => s.Key.StartsWith("FusionGen", StringComparison.Ordinal) && s.Key != TrackingNames.Parse))
        {
            foreach (var (value, _) in steps.SelectMany(s => s.Outputs))
            {
                Assert.That(Violation(value, name), Is.Null);
                seen++;
            }
        }

        Assert.That(seen, Is.GreaterThanOrEqualTo(10));
    }

    [Test]
    public void The_guard_finds_what_it_forbids_however_deep_it_hides()
    {
        var tree = CSharpSyntaxTree.ParseText("class C;");
        var compilation = CSharpCompilation.Create("x", [tree]);
        var symbol = compilation.GetTypeByMetadataName("C")!;
        foreach (var forbidden in new object[] { tree, tree.GetRoot(), compilation, symbol, Location.None, SourceText.From(""), new Action(() => { }), new List<int>(), new[] { 1 }, new Dictionary<int, int>() })
            Assert.That(Violation(EquatableArray.Of(new Holder("x", new Holder("y", forbidden))), "planted"), Is.Not.Null, forbidden.GetType().Name);
        Assert.That(Violation(EquatableArray.Of(new Holder("x", new Holder("y", 3))), "planted"), Is.Null);
    }

    private static string? Violation(object? value, string path)
    {
        if (value is null or string or Code or Enum || value.GetType().IsPrimitive)
            return null;
        var type = value.GetType();
        if (value is ISymbol or SyntaxNode or SyntaxTree or Microsoft.CodeAnalysis.Compilation or Location or SourceText or AdditionalText or Delegate)
            return $"{path} is {type.Name}";
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(EquatableArray<>))
            return ((IEnumerable)value).Cast<object?>().Select((item, i) => Violation(item, $"{path}[{i}]")).FirstOrDefault(v => v is not null);
        if (value is IEnumerable)
            return $"{path} is {type.Name}, whose equality is that of references";
        return type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Select(field => Violation(field.GetValue(value), $"{path}.{field.Name}")).FirstOrDefault(v => v is not null);
    }

    private sealed record Holder(string Name, object Content);
}
