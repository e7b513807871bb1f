using System.Collections.Concurrent;

namespace FusionGen.Static;

/// <summary>
/// A batch on its way through a network, as it stands before a layer: taken by the first pass that gets there, gone on from by those that follow. They must differ in
/// nothing but the mixture of that layer and of layers behind it.
/// </summary>
internal sealed class StaticSnapshot(StaticEntry entry)
{
    private readonly ConcurrentDictionary<int, float[]> slices = new();

    /// <summary>Runs a slice of the batch through the program, or through the rest of it.</summary>
    public void Run(StaticProgram program, in StaticFrame frame, int slice)
    {
        if (this.slices.TryGetValue(slice, out var taken))
        {
            var left = taken.AsSpan();
            foreach (var place in entry.Live)
            {
                var there = frame.At(place);
                left[..there.Length].CopyTo(there);
                left = left[there.Length..];
            }
        }
        else
        {
            program.RunForward(frame, 0, entry.Call);
            this.slices[slice] = Taken(frame);
        }
        program.RunForward(frame, entry.Call, int.MaxValue);
    }

    private float[] Taken(in StaticFrame frame)
    {
        var taken = new float[entry.Live.Sum(place => place.Length) * frame.B];
        var at = 0;
        foreach (var place in entry.Live)
        {
            var there = frame.At(place);
            there.CopyTo(taken.AsSpan(at));
            at += there.Length;
        }
        return taken;
    }
}
