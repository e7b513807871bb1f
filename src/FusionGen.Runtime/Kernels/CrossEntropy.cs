using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>The loss of a classifier.</summary>
public static class CrossEntropy
{
    /// <summary>The loss, the hits and, if it is wanted, the gradient.</summary>
    /// <param name="logits">(b, streams, classes).</param>
    /// <param name="labels">(b): the right class of each image.</param>
    /// <param name="losses">(streams): weight of each stream's loss; the first stream predicts.</param>
    /// <param name="dLogits">(b, streams, classes): weight·scale·(softmax − one-hot); empty if it is not wanted; may be the logits.</param>
    /// <param name="scale">The gradient of one image's loss: 1/B for the mean over a batch of B, of which this may be a part.</param>
    /// <returns>The sum of the images' losses, and in how many the right class has the prediction's (first) largest logit.</returns>
    public static (double Loss, int Correct) Forward(ReadOnlySpan<float> logits, ReadOnlySpan<int> labels, ReadOnlySpan<float> losses, Span<float> dLogits, float scale)
    {
        if (labels.IsEmpty || losses.IsEmpty || logits.Length % (labels.Length * losses.Length) != 0)
            throw new ArgumentException($"'{nameof(logits)}' holds {logits.Length} floats for {labels.Length} labels of {losses.Length} streams", nameof(logits));
        Check.LengthOrEmpty(dLogits, logits.Length);
        var classes = logits.Length / (labels.Length * losses.Length);
        foreach (var label in labels)
        {
            if ((uint)label >= (uint)classes)
                throw new ArgumentException($"label {label} of {classes} classes", nameof(labels));
        }
        double loss = 0;
        var correct = 0;
        Simd.Run(new RowsLoop { Logits = logits, Labels = labels, Losses = losses, DLogits = dLogits, Scale = scale, Classes = classes, Loss = ref loss, Correct = ref correct });
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
        public ReadOnlySpan<float> Losses;
        public Span<float> DLogits;
        public float Scale;
        public int Classes;
        public ref double Loss;
        public ref int Correct;

        public void Run<V>()
            where V : struct, ILane<V>
        {
            for (var row = 0; row < this.Labels.Length * this.Losses.Length; row++)
            {
                var (image, stream) = Math.DivRem(row, this.Losses.Length);
                var (label, start, weight) = (this.Labels[image], row * this.Classes, this.Losses[stream]);
                var logits = this.Logits.Slice(start, this.Classes);
                var winner = Winner(logits);
                if (stream == 0 && winner == label)
                    this.Correct++;
                // The difference first: both may be large where the loss is small.
                var behind = logits[winner] - logits[label];
                ref var x = ref MemoryMarshal.GetReference(logits);
                var sum = Loops.RowSum(default(ExpFrom), ref x, ref x, V.Of(logits[winner]), this.Classes);
                this.Loss += weight * (behind + Math.Log(sum));
                if (this.DLogits.IsEmpty)
                    continue;
                ref var d = ref MemoryMarshal.GetReference(this.DLogits[start..]);
                sum = Softmax.Exponentials<V>(ref x, ref d, this.Classes, Softmax.Largest<V>(ref x, this.Classes));
                Softmax.ScaleRow<V>(ref d, this.Classes, weight * this.Scale / sum);
                this.DLogits[start + label] -= weight * this.Scale;
            }
        }
    }
}
