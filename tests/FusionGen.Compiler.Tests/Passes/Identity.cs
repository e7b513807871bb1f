using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Tests.Graph;
using Array = FusionGen.Compiler.Tests.Graph.Array;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>What a rewrite has to keep: in float64, through the reference interpreter, the logits and every gradient.</summary>
internal static class Identity
{
    private const int Batch = 2;

    /// <summary>Logits are the same to rounding; gradients too, unless only predictions are rewritten so.</summary>
    public static void Holds(Network before, Network after, bool gradients = true)
    {
        var leaves = new Leaves();
        var (expected, actual) = (leaves.Evaluate(before.Logits), leaves.Evaluate(after.Logits));
        // A prediction has the first of several streams.
        Close(gradients || expected.Shape.Length < 3 ? expected : Array.From(actual.Shape, at => expected[at[0], 0, at[2]]), actual, "logits");
        if (gradients)
            SameGradients(leaves, before, after, Recomputation.None);
    }

    /// <summary>Gradients are the same where some values are computed again.</summary>
    public static void Holds(Network before, Network after, Recomputation recomputation) => SameGradients(new Leaves(), before, after, recomputation);

    private static void SameGradients(Leaves leaves, Network before, Network after, Recomputation recomputation)
    {
        var (expected, actual) = (Gradients(leaves, before, Recomputation.None), Gradients(leaves, after, recomputation));
        Assert.That(actual.Keys, Is.EquivalentTo(expected.Keys));
        foreach (var (name, gradient) in expected)
            Close(gradient, actual[name], name);
    }

    /// <summary>A pass acts on a network as often as is said, and keeps what it computes.</summary>
    public static Network Holds(Pass pass, Network before, int times, bool gradients = true)
    {
        var rewriter = Rewriter.Run(before, pass);
        Assert.That(rewriter.Applied(pass), Is.EqualTo(times), pass.Name);
        Holds(before, rewriter.Network, gradients);
        return rewriter.Network;
    }

    /// <summary>A network's logits are those of its backbone at the merged weights.</summary>
    public static void Holds(Network before, Network backbone, Merging merging)
    {
        var leaves = new Leaves();
        Interpreter? plain = null;
        plain = new Interpreter(Batch, leaf => leaf.Op is ParameterOp parameter ? leaves.Evaluate(merging.Weights[parameter]) : leaves.Of(leaf, plain!));
        Close(leaves.Evaluate(before.Logits), plain[backbone.Logits], "logits");
    }

    /// <summary>A pass leaves a network as it is, for a reason.</summary>
    public static void IsBlocked(Pass pass, Network network, string reason)
    {
        var rewriter = Rewriter.Run(network, pass);
        Assert.That(rewriter.Applied(pass), Is.Zero);
        Assert.That(rewriter.Refused(pass) ?? "needs " + pass.Needs, Does.Contain(reason));
    }

    private static Dictionary<string, Array> Gradients(Leaves leaves, Network network, Recomputation recomputation) =>
        Differentiation.Of(network, recomputation).Gradients.ToDictionary(pair => Leaves.Name(pair.Key), pair => leaves.Evaluate(pair.Value));

    private static void Close(Array expected, Array actual, string name)
    {
        var size = Math.Max(1e-3, expected.Data.Max(Math.Abs));
        for (var i = 0; i < expected.Data.Length; i++)
            Assert.That(actual.Data[i], Is.EqualTo(expected.Data[i]).Within(1e-11 * size), $"{name}[{i}]");
    }

    /// <summary>The same numbers for a leaf of the same name, whatever graph it is of.</summary>
    private sealed class Leaves
    {
        private readonly Dictionary<string, Array> arrays = new(StringComparer.Ordinal);

        public static string Name(Value value) => value.Op switch { ParameterOp p => p.Name, InputOp i => i.Name, MixtureOp m => $"{(m.Log ? "ln " : "")}π of {m.Layer}", _ => "" };

        public Array Evaluate(Value value)
        {
            Interpreter? self = null;
            self = new Interpreter(Batch, leaf => this.Of(leaf, self!));
            return self[value];
        }

        public Array Of(Value leaf, Interpreter interpreter)
        {
            var name = Name(leaf);
            if (!this.arrays.TryGetValue(name, out var array))
            {
                var random = new Random(name.Aggregate(17, (hash, c) => (hash * 31) + c));
                var centre = leaf.Op is MixtureOp || name.Contains("norm", StringComparison.Ordinal) && name.EndsWith("weight", StringComparison.Ordinal) ? 0.8 : 0;
                this.arrays.Add(name, array = Array.From(interpreter.Sizes(leaf.Shape), _ => centre + random.NextDouble() - 0.5));
            }
            return array;
        }
    }
}
