using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Tests.Passes;

namespace FusionGen.Compiler.Tests.Emit;

/// <summary>A table of parameters written layer by layer is the table.</summary>
public class ParameterRunTests
{
    [TestCase("add, affine, concat, cross, prefix", 9, false)]
    [TestCase("", 5, false)]
    [TestCase("e2vpt, vapt-own, lora, ssf, adapter", 12, false)]
    [TestCase("affine, lora", 4, true)]
    public void RunsAreTheTable(string candidates, int depth, bool isSwin)
    {
        var table = TinySpecs.Network(isSwin ? TinySpecs.Swin(candidates) : TinySpecs.Vit(candidates, depth: depth)).Parameters;
        var runs = ParameterRun.Of(table).ToList();
        Assert.Multiple(() =>
        {
            Assert.That(runs.SelectMany(run => Written(table, run)), Is.EqualTo(table));
            Assert.That(runs.Max(run => run.Times), Is.GreaterThanOrEqualTo(isSwin ? 2 : depth - 1), "layers but the first, which holds what all share, are alike");
        });
    }

    /// <summary>What differs in anything but one number that counts up is no repetition.</summary>
    [TestCase("a.0 a.2")]
    [TestCase("a.1 a.0")]
    [TestCase("a.0 b.1")]
    [TestCase("a.0.0 a.1.1")]
    [TestCase("a.0 a.1.x")]
    [TestCase("a.0 b.3 a.1 b.4")]
    [TestCase("a b")]
    public void OthersStandAlone(string names) => Assert.That(ParameterRun.Of([.. names.Split(' ').Select(name => Parameter(name))]).Select(run => run.Times), Is.All.EqualTo(1));

    [TestCase("a.0 a.1 a.2", 3)]
    [TestCase("a.7.w a.8.w", 2)]
    [TestCase("a.9 b.9.w a.10 b.10.w", 2)]
    [TestCase("s.0.b.0 s.0.b.1", 2)]
    public void ThoseThatCountUpAreOne(string names, int times) => Assert.That(ParameterRun.Of([.. names.Split(' ').Select(name => Parameter(name))]).Select(run => run.Times), Is.EqualTo(new[] { times }));

    [Test]
    public void AnotherShapeEndsARun() => Assert.That(ParameterRun.Of([Parameter("a.0"), Parameter("a.1"), Parameter("a.2", 5)]).Select(run => run.Times), Is.EqualTo(new[] { 2, 1 }));

    private static ParameterOp Parameter(string name, int size = 4) => new(name, ParameterRole.Tuned, Init.Zero, Shape.Of(size));

    /// <summary>As the generated code has it: the first time's parameters with each time's number.</summary>
    private static IEnumerable<ParameterOp> Written(ParameterTable table, ParameterRun run)
    {
        for (var time = 0; time < run.Times; time++)
        {
            for (var i = 0; i < run.Length; i++)
            {
                var parts = table[run.Start + i].Name.Split('.');
                if (run.Times > 1)
                    parts[run.Places[i]] = Text.Invariant(run.First + time);
                yield return table[run.Start + i] with { Name = string.Join('.', parts) };
            }
        }
    }
}
