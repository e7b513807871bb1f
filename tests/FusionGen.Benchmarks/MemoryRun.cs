using System.Text.Json;

namespace FusionGen.Benchmarks;

/// <summary>Whether memory stays what it is over many steps.</summary>
/// <param name="Workload">What was run.</param>
/// <param name="Steps">How many steps.</param>
/// <param name="Early">Peak resident bytes after the first tenth of them.</param>
/// <param name="Late">Peak resident bytes after all.</param>
/// <param name="EarlyTensors">Live tensors after the first tenth.</param>
/// <param name="LateTensors">Live tensors after all.</param>
internal sealed record MemoryRun(Workload Workload, int Steps, long Early, long Late, long EarlyTensors, long LateTensors)
{
    /// <summary>Runs steps of a piece of work.</summary>
    public static MemoryRun Run(Workload workload, int steps)
    {
        using var ours = Contender.Ours(workload, casePath: null);
        var (early, late) = (default(JsonElement), default(JsonElement));
        for (var step = 1; step <= steps; step++)
        {
            late = ours.Ask("step");
            if (step == Math.Max(1, steps / 10))
                early = late;
        }
        static long Count(JsonElement answer, string field) => answer.GetProperty(field).GetInt64();
        return new MemoryRun(workload, steps, Count(early, "peak"), Count(late, "peak"), Count(early, "tensors"), Count(late, "tensors"));
    }
}
