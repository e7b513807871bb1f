using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>The loss of a classifier.</summary>
public static class CrossEntropy
{
    /// <summary>The loss, the hits and, if it is wanted, the gradient.</summary>
    /// <param name="logits">(b, classes).</param>
    /// <param name="labels">(b): the right class of each row.</param>
    /// <param name="dLogits">(b, classes): scale·(softmax − one-hot); empty if it is not wanted; may be the logits.</param>
    /// <param name="scale">The gradient of one row's loss: 1/B for the mean over a batch of B, of which this may be a part.</param>
    /// <returns>The sum of the rows' losses, and in how many rows the right class has the (first) largest logit.</returns>
    public static (double Loss, int Correct) Forward(ReadOnlySpan<float> logits, ReadOnlySpan<int> labels, Span<float> dLogits, float scale)
    {
        if (labels.IsEmpty || logits.Length % labels.Length != 0)
            throw new ArgumentException($"'{nameof(logits)}' holds {logits.Length} floats for {labels.Length} labels", nameof(logits));
        Check.LengthOrEmpty(dLogits, logits.Length);
        var classes = logits.Length / labels.Length;
        foreach (var label in labels)
        {
            if ((uint)label >= (uint)classes)
                throw new ArgumentException($"label {label} of {classes} classes", nameof(labels));
        }
        double loss = 0;
        var correct = 0;
        Simd.Run(new RowsLoop { Logits = logits, Labels = labels, DLogits = dLogits, Scale = scale, Classes = classes, Loss = ref loss, Correct = ref correct });
        return (loss, correct);
    }

    private static int Winner(ReadOnlySpan<float> logits)
    {
        var winner = 0;
        for (var i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[winner])
                winner = i;
        }
        return winner;
    }

    // exp(x − z).
    private readonly struct ExpFrom : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => VectorMath.Exp(x - z);
    }

    private ref struct RowsLoop : ILoop
    {
        public ReadOnlySpan<float> Logits;
        public ReadOnlySpan<int> Labels;
        public Span<float> DLogits;
        public float Scale;
        public int Classes;
        public ref double Loss;
        public ref int Correct;

        public void Run<V>()
            where V : struct, ILane<V>
        {
            for (var row = 0; row < this.Labels.Length; row++)
            {
                var (label, start) = (this.Labels[row], row * this.Classes);
                var logits = this.Logits.Slice(start, this.Classes);
                var winner = Winner(logits);
                if (winner == label)
                    this.Correct++;
                // The difference first: both may be large where the loss is small.
                var behind = logits[winner] - logits[label];
                ref var x = ref MemoryMarshal.GetReference(logits);
                var sum = Loops.RowSum(default(ExpFrom), ref x, ref x, V.Of(logits[winner]), this.Classes);
                this.Loss += behind + Math.Log(sum);
                if (this.DLogits.IsEmpty)
                    continue;
                ref var d = ref MemoryMarshal.GetReference(this.DLogits[start..]);
                sum = Softmax.Exponentials<V>(ref x, ref d, this.Classes, Softmax.Largest<V>(ref x, this.Classes));
                Softmax.ScaleRow<V>(ref d, this.Classes, this.Scale / sum);
                this.DLogits[start + label] -= this.Scale;
            }
        }
    }
}
