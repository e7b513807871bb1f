using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Operators;

/// <summary>The page on adding an operator shows what compiles: the file, the catalogue's line, the spec.</summary>
internal sealed class AddingAnOperatorTests
{
    private static readonly string Page = Golden.Read("../../docs/adding-an-operator.md");

    [Test]
    public void Its_example_is_a_file_of_the_compiler() =>
        Assert.That(Block("csharp", 0), Is.EqualTo(Golden.Read("../../generators/FusionGen.Compiler/Operators/AffineDirectOperator.cs")));

    [Test]
    public void Its_line_is_one_of_the_catalogue()
    {
        Assert.That(Golden.Read("../../generators/FusionGen.Compiler/Operators/OperatorCatalogue.cs"), Does.Contain(Block("csharp", 1).Trim()));
        Assert.That(OperatorCatalogue.Get("affine-direct"), Is.InstanceOf<AffineDirectOperator>());
    }

    [Test]
    public void Its_spec_builds()
    {
        var result = SpecReader.Read($"fusiongen: 1\nmodel: A\nnamespace: A\nbackbone: {{ preset: vit_tiny_patch16_224 }}\nclasses: 2\n{Block("yaml", 0)}");
        Assert.That(result.Problems, Is.Empty);
        Assert.That(Networks.Build(result.Document!, null).Supernet!.Count(Compiler.Graph.ParameterRole.Tuned), Is.EqualTo(12 * 2 * 192));
    }

    private static string Block(string language, int index)
    {
        var parts = Page.Split($"```{language}\n");
        return parts[index + 1][..parts[index + 1].IndexOf("```", StringComparison.Ordinal)];
    }
}
