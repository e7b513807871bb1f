using FusionGen.Compiler.Spec;

namespace FusionGen.Generators.Tests;

/// <summary>Small specs.</summary>
internal static class Specs
{
    public const string Tiny = """
        # small enough to compile often
        fusiongen: 1
        model: Tiny
        namespace: App
        backbone: { family: vit, image: 16, patch: 8, width: 16, depth: 2, heads: 2 }
        classes: 3
        operators:
          add: { kind: add }
          affine: { kind: affine }
        layers:
          - { at: 0..1, candidates: [add, affine] }
        """;

    public static string Named(string model, string @namespace = "App") => Tiny.Replace("model: Tiny", $"model: {model}").Replace("namespace: App", $"namespace: {@namespace}");

    public static string Policy(string spec, params string[] choices)
    {
        var document = SpecReader.Read(spec).Document!;
        return PolicyWriter.Write(new PolicyDocument(document.Model, SpecHash.Of(document), FusionGen.Compiler.EquatableArray.Of(choices)));
    }
}
