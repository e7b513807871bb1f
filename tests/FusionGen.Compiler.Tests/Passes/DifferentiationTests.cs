using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;
using FusionGen.Compiler.Tests.Graph;
using Array = FusionGen.Compiler.Tests.Graph.Array;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>Gradients that the compiler derives are those of the network: central differences in float64 through the reference interpreter.</summary>
public class DifferentiationTests
{
    [TestCase("cls", "add")]
    [TestCase("cls", "affine")]
    [TestCase("cls", "concat")]
    [TestCase("cls", "cross")]
    [TestCase("cls", "prefix")]
    [TestCase("cls", "add, affine, concat, cross, prefix, none")]
    [TestCase("cls", "vapt")]
    [TestCase("cls", "vapt-own")]
    [TestCase("cls", "e2vpt")]
    [TestCase("mean", "affine, prefix")]
    [TestCase("mean", "vapt, e2vpt, prefix")]
    [TestCase("mean-with-prompts", "prefix")]
    [TestCase("mean-with-prompts", "vapt")]
    [TestCase("mean-with-prompts", "e2vpt")]
    [TestCase("cls", "lora")]
    [TestCase("cls", "some")]
    [TestCase("mean", "ssf")]
    [TestCase("cls", "adapter, quick")]
    [TestCase("cls", "vector, modulate")]
    [TestCase("cls", "add, prefix, lora, adapter, ssf")]
    public void OfAViT(string pool, string candidates) => Check(TinySpecs.Vit(candidates, pool));

    [TestCase("affine, concat, cross, prefix, e2vpt")]
    [TestCase("concat, lora, ssf, adapter")]
    public void OfASwin(string candidates) => Check(TinySpecs.Swin(candidates));

    [TestCase("accelerated", "cls")]
    [TestCase("original", "mean")]
    public void OfTwoStreams(string attention, string pool) => Check(TinySpecs.Streams(attention, pool));

    [TestCase("add, affine, concat, cross, prefix, none", false)]
    [TestCase("affine, concat, vector", true)]
    public void OfAMixtureOfPartOfTheChannels(string candidates, bool isSwin)
    {
        var spec = isSwin ? TinySpecs.Swin(candidates) : TinySpecs.Vit(candidates);
        Check(spec with { Search = spec.Search with { Channels = 4 } });
    }

    [Test]
    public void OfEveryParameterWhereEverythingIsTuned() => Check(TinySpecs.Vit("", more: "tune: all\n"));

    [TestCase("bias")]
    [TestCase("{ last: 1 }")]
    public void OfThePartThatIsTuned(string tune) => Check(TinySpecs.Vit("", more: $"tune: {tune}\n"));

    [Test]
    public void OfTheBiasesOfASwin() => Check(TinySpecs.Swin("", more: "tune: bias\n"));

    [Test]
    public void OfEveryParameterOfASwin() => Check(TinySpecs.Swin("", more: "tune: all\n"));

    [TestCase("cls", "prefix")]
    [TestCase("cls", "prefix, vapt, e2vpt")]
    [TestCase("mean-with-prompts", "e2vpt")]
    public void UnderDropout(string pool, string candidates) => Check(TinySpecs.Vit(candidates, pool, dropout: 0.3));

    [Test]
    public void UnderOneMaskForAll() => Check(TinySpecs.Vit("prefix, e2vpt", dropout: 0.3, shareDropout: true));

    [TestCase("cls")]
    [TestCase("mean")]
    [TestCase("mean-with-prompts")]
    public void OfPromptsThatPropagate(string pool) => Check(TinySpecs.Vit("shallow", pool, dropout: 0.3));

    /// <summary>METHOD §6.1, S7: frozen weights get no gradient, and no rule is applied before the first tuned value.</summary>
    [Test]
    public void GoesNoFurtherBackThanSomethingTuned()
    {
        var network = TinySpecs.Network(TinySpecs.Vit(""));
        var head = Differentiation.Of(network);
        Assert.That(head.Gradients.Keys.Select(value => ((ParameterOp)value.Op).Name), Is.EquivalentTo(new[] { "head.weight", "head.bias" }));
        Assert.That(head.Values.Except(network.Values).Select(value => value.Op), Is.All.Matches<Op>(op => op is InputOp or MatMulSumOp or MatMulOp or SumToOp or ReshapeOp));
    }

    /// <summary>METHOD §6.1, S8: what is added to all rows of an image is reached by sums of gradients; an affine operator wants every row's, and so does a layer below.</summary>
    [TestCase("add", 0, false)]
    [TestCase("affine", 0, true)]
    [TestCase("add", 1, true)]
    public void AddsUpRowsBeforeTheProductWhereOnlyTheirSumIsWanted(string candidates, int layer, bool everyRow)
    {
        var step = Differentiation.Of(Pipeline.ForTraining(TinySpecs.Network(TinySpecs.Vit(candidates, "mean"))));
        var products = step.Values.Where(value => value.Op is MatMulOp && value.Inputs[1].Op is ParameterOp { Name: var name } && name == $"blocks.{layer}.attn.qkv.weight").ToList();
        Assert.That(products.Select(value => value.Shape.IsPerSample), Is.EqualTo(new[] { everyRow }));
    }

    [Test]
    public void IsTheSameGraphEveryTime()
    {
        var (one, other) = (Print(), Print());
        Assert.That(other, Is.EqualTo(one));

        static string Print() => string.Join('\n', Differentiation.Of(TinySpecs.Network(TinySpecs.Vit("add, cross"))).Values
            .Select(value => $"{value.Id} {value.Op} {string.Join(',', value.Inputs.Select(input => input.Id))}"));
    }

    private static void Check(SpecDocument spec)
    {
        var network = TinySpecs.Network(spec);
        var differentiation = Differentiation.Of(network);
        var wanted = network.Values.Where(value => value.IsTracked && value.Op is ParameterOp or MixtureOp).ToList();
        Assert.That(differentiation.Gradients.Keys, Is.EquivalentTo(wanted.Where(value => value.IsTracked)));

        var leaves = new Dictionary<string, Array>(StringComparer.Ordinal);
        var random = new Random(7);
        Array Leaf(Interpreter interpreter, Value value)
        {
            var key = value.Op switch { ParameterOp p => p.Name, InputOp i => i.Name, MixtureOp m => $"mixture {m.Layer} {m.Log}", _ => "" };
            if (!leaves.TryGetValue(key, out var array))
            {
                // Around 1 for gains and mixtures, around 0 for all else; every value is of use only if nothing vanishes.
                var centre = value.Op is MixtureOp || key.EndsWith("norm1.weight", StringComparison.Ordinal) || key.EndsWith("norm2.weight", StringComparison.Ordinal) ? 0.7 : 0;
                leaves.Add(key, array = Array.From(interpreter.Sizes(value.Shape), _ => centre + ((random.NextDouble() - 0.5) * 0.8)));
            }
            return array;
        }

        const int Batch = 2;
        Interpreter New()
        {
            Interpreter? self = null;
            return self = new Interpreter(Batch, value => Leaf(self!, value), isTraining: true);
        }
        var analytic = New();
        var gradients = differentiation.Gradients.ToDictionary(pair => pair.Key, pair => analytic[pair.Value]);
        var seed = leaves["seed"];
        double Loss()
        {
            var logits = New()[network.Logits];
            return logits.Data.Zip(seed.Data).Sum(pair => pair.First * pair.Second);
        }

        var largest = gradients.Values.SelectMany(gradient => gradient.Data).Max(Math.Abs);
        foreach (var (value, gradient) in gradients)
        {
            var place = value.Op is ParameterOp p ? p.Name : value.Op.ToString()!;
            var array = Leaf(analytic, value);
            foreach (var i in Enumerable.Range(0, array.Data.Length).OrderBy(_ => random.Next()).Take(2))
            {
                const double Step = 1e-5;
                var kept = array.Data[i];
                array.Data[i] = kept + Step;
                var above = Loss();
                array.Data[i] = kept - Step;
                var below = Loss();
                array.Data[i] = kept;
                Assert.That(gradient.Data[i], Is.EqualTo((above - below) / (2 * Step)).Within(1e-8 * Math.Max(1, largest)), $"{place}[{i}]");
            }
        }
    }
}
