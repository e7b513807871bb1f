using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;
using FusionGen.Compiler.Tests.Passes;

namespace FusionGen.Compiler.Tests.Graph;

/// <summary>A search over part of the channels (PC-DARTS): the mixture of the first ones is the whole mixture's, the others are the tokens themselves.</summary>
public class PartialChannelsTests
{
    private const int Width = 8;

    [TestCase("add, affine, concat", 4)]
    [TestCase("affine, concat, none", 2)]
    [TestCase("vector, modulate, add", 100)]
    public void OnlyTheFirstTakePart(string candidates, int channels)
    {
        var spec = TinySpecs.Vit(candidates);
        var (whole, part) = (Fused(spec), Fused(spec with { Search = spec.Search with { Channels = channels } }));
        var few = Math.Max(1, Width / channels);
        Assert.That(part.Fused.Shape, Is.EqualTo(whole.Fused.Shape));
        foreach (var at in Array.Indices(part.Fused.Shape))
            Assert.That(part.Fused[at], Is.EqualTo(at[^1] < few ? whole.Fused[at] : whole.Tokens[at]).Within(1e-12), string.Join(' ', at));
        Assert.That(whole.Fused.Data, Is.Not.EqualTo(part.Fused.Data));
    }

    /// <summary>A dense mix of rows is a product of the columns that take part; the found model has all of them.</summary>
    [Test]
    public void AProductOfFewerColumnsIsSmaller()
    {
        var spec = TinySpecs.Vit("add, concat");
        var partial = spec with { Search = spec.Search with { Channels = 4 } };
        Assert.That(TinySpecs.Network(partial).Macs, Is.LessThan(TinySpecs.Network(spec).Macs));
        var policy = new PolicyDocument("Tiny", SpecHash.Of(spec), EquatableArray.Of("concat", "add"));
        Assert.That(SpecHash.Of(partial), Is.EqualTo(policy.SpecHash));
        Assert.That(Networks.Build(partial, policy).Model!.Macs, Is.EqualTo(Networks.Build(spec, policy).Model!.Macs));
    }

    /// <summary>What reads all channels at once is mixed as ever.</summary>
    [TestCase("cross, prefix, lora")]
    [TestCase("adapter, ssf")]
    public void OtherOperatorsAreNotTouched(string candidates)
    {
        var spec = TinySpecs.Vit(candidates);
        string Text(SpecDocument document) => string.Join('\n', TinySpecs.Network(document).Values.Select(value => $"{value.Op} {value.Shape}"));
        Assert.That(Text(spec with { Search = spec.Search with { Channels = 4 } }), Is.EqualTo(Text(spec)));
    }

    private static (Array Tokens, Array Fused) Fused(SpecDocument spec)
    {
        var network = TinySpecs.Network(spec);
        Interpreter? self = null;
        self = new Interpreter(2, leaf => Leaf(leaf, self!));
        var block = network.Values.Where(value => value.Scope == "blocks.0").ToList();
        return (self[block.First(value => value.Hint == "u")], self[block.First(value => value.Hint == "qkv").Inputs[0]]);
    }

    private static Array Leaf(Value leaf, Interpreter interpreter)
    {
        var random = new Random(leaf.Op is ParameterOp parameter ? parameter.Name.Sum(letter => letter) : 1);
        return Array.From(interpreter.Sizes(leaf.Shape), _ => leaf.Op is MixtureOp mixture ? 1.0 / mixture.Candidates : random.NextDouble() - 0.3);
    }
}
