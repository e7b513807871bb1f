using System.Runtime.CompilerServices;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Spec;
using FusionGen.Compiler.Tests.Passes;

namespace FusionGen.Compiler.Tests.Emit;

/// <summary>Specs share what they have in common, and come out as if they were alone.</summary>
public class NetworkCacheTests
{
    private static readonly SpecDocument Base = TinySpecs.Vit("add, affine, prefix");

    private static IEnumerable<TestCaseData> Variants()
    {
        TestCaseData Of(string name, int compiled, Func<SpecDocument, SpecDocument> edit) => new TestCaseData(edit, compiled).SetArgDisplayNames(name);

        // What no network depends on.
        yield return Of("model", 0, spec => spec with { Model = "Other" });
        yield return Of("namespace", 0, spec => spec with { Namespace = "B.C" });
        yield return Of("doc", 0, spec => spec with { Doc = "A paragraph." });
        yield return Of("data", 0, spec => spec with { Data = "sprites:location" });
        yield return Of("weights", 0, spec => spec with { Backbone = spec.Backbone with { Weights = "w.safetensors" } });
        yield return Of("train", 0, spec => spec with { Train = spec.Train with { Batch = 7, Epochs = 3, Preprocessing = "pfd" } });
        yield return Of("search", 0, spec => spec with { Search = spec.Search with { Batch = 7, Order = SearchOrder.SecondFd } });
        yield return Of("budget of parameters", 0, spec => spec with { Budget = new BudgetSpec { Tuned = 0.9 } });

        // What the supernet alone depends on.
        yield return Of("candidates", 1, spec => spec with { Layers = EquatableArray.Of(spec.Layers[0], new LayerSpec(EquatableArray.Of("add"))) });
        yield return Of("prompts", 1, spec => spec with { Prompts = spec.Prompts with { Tokens = 3 } });
        yield return Of("channels", 1, spec => spec with { Search = spec.Search with { Channels = 2 } });

        // What both depend on.
        yield return Of("classes", 2, spec => spec with { Classes = 4 });
        yield return Of("head", 2, spec => spec with { Head = HeadInit.Vpt });
        yield return Of("tune", 2, spec => spec with { Tune = new TuneSpec(TuneScope.Bias) });
        yield return Of("width", 2, spec => spec with { Backbone = spec.Backbone with { Width = 16 } });
        yield return Of("budget of memory", 2, spec => spec with { Budget = new BudgetSpec { Memory = 1 << 30 } });
    }

    [TestCaseSource(nameof(Variants))]
    public void AVariantCompilesWhatIsNewInIt(Func<SpecDocument, SpecDocument> edit, int compiled)
    {
        var cache = new NetworkCache();
        var first = FusionCompiler.Compile(Base, null, cache);
        Assert.That(cache.Compiled, Is.EqualTo(2), "backbone and supernet");
        var variant = edit(Base);
        Assert.That(variant, Is.Not.EqualTo(Base));
        Assert.Multiple(() =>
        {
            Assert.That(Texts(FusionCompiler.Compile(variant, null, cache)), Is.EqualTo(Texts(FusionCompiler.Compile(variant, null))));
            Assert.That(cache.Compiled, Is.EqualTo(2 + compiled));
            Assert.That(Texts(FusionCompiler.Compile(Base, null, cache)), Is.EqualTo(Texts(first)));
            Assert.That(cache.Compiled, Is.EqualTo(2 + compiled));
        });
    }

    [Test]
    public void APolicyCompilesItsModelAndNothingElse()
    {
        var cache = new NetworkCache();
        var first = FusionCompiler.Compile(Base, null, cache);
        var found = FusionCompiler.Compile(Base, Policy("add", "affine"), cache);
        Assert.That(cache.Compiled, Is.EqualTo(3));
        var other = FusionCompiler.Compile(Base, Policy("affine", "add"), cache);
        Assert.That(cache.Compiled, Is.EqualTo(4));
        Assert.That(Texts(found), Is.EqualTo(Texts(FusionCompiler.Compile(Base, Policy("add", "affine")))));
        Assert.That(Texts(other), Is.EqualTo(Texts(FusionCompiler.Compile(Base, Policy("affine", "add")))).And.Not.EqualTo(Texts(found)));
        GC.KeepAlive(first);
    }

    /// <summary>Where memory is limited, what is computed again depends on the batch, on the other networks and on the order of the search.</summary>
    [Test]
    public void ABudgetOfMemorySharesWithItsEqualAlone()
    {
        var cache = new NetworkCache();
        var limited = Base with { Budget = new BudgetSpec { Memory = 300_000 } };
        var held = new[] { limited, limited with { Search = limited.Search with { Batch = 7 } }, limited with { Search = limited.Search with { Order = SearchOrder.SecondFd } }, limited with { Model = "Other" } }
            .Select(spec => (Shared: FusionCompiler.Compile(spec, null, cache), Alone: FusionCompiler.Compile(spec, null))).ToList();
        Assert.Multiple(() =>
        {
            Assert.That(cache.Compiled, Is.EqualTo(6));
            foreach (var (shared, alone) in held)
            {
                Assert.That(Texts(shared), Is.EqualTo(Texts(alone)));
                Assert.That(shared.Problems, Is.EqualTo(alone.Problems));
            }
        });
    }

    [Test]
    public void ManyThreadsCompileANetworkOnce()
    {
        var cache = new NetworkCache();
        var results = new CompileResult[16];
        Parallel.For(0, results.Length, i => results[i] = FusionCompiler.Compile(Base with { Model = $"M{i % 4}" }, null, cache));
        Assert.That(cache.Compiled, Is.EqualTo(2));
        for (var i = 0; i < results.Length; i++)
            Assert.That(Texts(results[i]), Is.EqualTo(Texts(FusionCompiler.Compile(Base with { Model = $"M{i % 4}" }, null))));
    }

    [Test]
    public void WhatNobodyHoldsIsForgotten()
    {
        var cache = new NetworkCache();
        CompileAndLetGo(cache);
        GC.Collect();
        GC.KeepAlive(FusionCompiler.Compile(Base, null, cache));
        Assert.That(cache.Compiled, Is.EqualTo(4));
    }

    [Test]
    public void WhatDoesNotFitIsToldToEveryoneWhoAsks()
    {
        var cache = new NetworkCache();
        var wrong = Base with { Backbone = Base.Backbone with { Heads = 3 } };
        var problems = FusionCompiler.Compile(wrong, null).Problems;
        Assert.That(problems, Is.Not.Empty);
        Assert.That(FusionCompiler.Compile(wrong, null, cache).Problems, Is.EqualTo(problems));
        Assert.That(FusionCompiler.Compile(wrong, null, cache).Problems, Is.EqualTo(problems));
        Assert.That(cache.Compiled, Is.Zero);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CompileAndLetGo(NetworkCache cache) => FusionCompiler.Compile(Base, null, cache);

    private static PolicyDocument Policy(params string[] choices) => new(Base.Model, SpecHash.Of(Base), choices.ToEquatableArray());

    private static List<(string, string)> Texts(CompileResult result) => [.. result.Files.Select(file => (file.Name, file.Text))];
}
