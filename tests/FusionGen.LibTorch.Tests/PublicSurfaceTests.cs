using System.Globalization;
using System.Reflection;

namespace TorchSharp.Tests;

/// <summary>
/// Whatever this binding offers, TorchSharp offers: a program written against one compiles against the other.
/// <c>torchsharp-0.107.txt</c> holds the lines of TorchSharp's public surface that are implemented here.
/// </summary>
internal sealed class PublicSurfaceTests
{
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    [Test]
    public void EveryPublicMemberIsTorchSharps()
    {
        var listing = File.ReadAllLines(Path.Combine(TestContext.CurrentContext.TestDirectory, "torchsharp-0.107.txt"));
        Assert.That(Surface().Except(listing), Is.Empty, "not in TorchSharp 0.107 under this name and signature: make it internal");
    }

    [Test]
    public void TheListingHoldsNothingUnimplemented()
    {
        var listing = File.ReadAllLines(Path.Combine(TestContext.CurrentContext.TestDirectory, "torchsharp-0.107.txt"));
        Assert.That(listing.Except(Surface()), Is.Empty);
    }

    /// <summary>One line per public or protected member: <c>type::[static] name(types names=defaults) -> type</c>.</summary>
    private static SortedSet<string> Surface()
    {
        var lines = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var type in typeof(torch).Assembly.GetExportedTypes())
        {
            if (typeof(Delegate).IsAssignableFrom(type))
                continue;
            foreach (var method in type.GetMethods(Declared).Where(IsVisible))
            {
                var modifiers = (method.IsStatic ? "static " : "") + (method.IsFamily || method.IsFamilyOrAssembly ? "prot " : "");
                lines.Add($"{Name(type)}::{modifiers}{method.Name}({Parameters(method)}) -> {Name(method.ReturnType)}");
            }
            foreach (var constructor in type.GetConstructors(Declared).Where(IsVisible).Where(each => !each.IsStatic))
                lines.Add($"{Name(type)}::.ctor({Parameters(constructor)})");
            foreach (var field in type.GetFields(Declared).Where(field => field.IsPublic || field.IsFamily))
            {
                var value = type.IsEnum && field.IsLiteral ? "=" + Convert.ToInt64(field.GetRawConstantValue(), CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture) : "";
                lines.Add($"{Name(type)}::field {Name(field.FieldType)} {field.Name}{value}");
            }
        }
        return lines;
    }

    private static bool IsVisible(MethodBase method) => (method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly) && !method.Name.Contains('<');

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(parameter =>
        $"{(parameter.ParameterType.IsByRef ? "ref " : "")}{Name(parameter.ParameterType)} {parameter.Name}{Default(parameter)}"));

    private static string Default(ParameterInfo parameter) => !parameter.HasDefaultValue ? "" : "=" + parameter.RawDefaultValue switch
    {
        null => "null",
        Enum value => Convert.ToInt64(value, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture),
        IFormattable value => value.ToString(null, CultureInfo.InvariantCulture),
        var value => value.ToString(),
    };

    private static string Name(Type type)
    {
        if (type.IsByRef)
            return Name(type.GetElementType()!);
        if (type.IsArray)
            return Name(type.GetElementType()!) + "[]";
        if (Nullable.GetUnderlyingType(type) is { } underlying)
            return Name(underlying) + "?";
        if (type.IsGenericParameter)
            return type.Name;
        var name = type.DeclaringType is { } outer ? $"{Name(outer)}+{type.Name}" : Qualifier(type) + type.Name;
        return type.IsConstructedGenericType ? $"{name}<{string.Join(",", type.GetGenericArguments().Select(Name))}>" : name;
    }

    /// <summary>As in the listing: namespaces only of TorchSharp's own types, and relative to its root.</summary>
    private static string Qualifier(Type type) => type.Namespace is { } space && space.StartsWith("TorchSharp.", StringComparison.Ordinal) ? space["TorchSharp.".Length..] + "." : "";
}
