namespace FusionGen.Training;

/// <summary>Quantities that change from epoch to epoch.</summary>
public static class Schedule
{
    /// <summary>
    /// Learning rate of an epoch: linear from 0 over <paramref name="warmup"/> epochs, then half a cosine down towards 0
    /// (VPT <c>WarmupCosineSchedule</c>; without warm-up, <c>CosineAnnealingLR</c> stepped by the epoch).
    /// </summary>
    /// <param name="peak">Largest rate.</param>
    /// <param name="epoch">From 0.</param>
    /// <param name="epochs">All epochs of the schedule, warm-up included.</param>
    /// <param name="warmup">Epochs of warm-up; the first of them runs at rate 0, which only fills momentum buffers.</param>
    public static double LearningRate(double peak, int epoch, int epochs, int warmup = 0) => epoch < warmup
        ? peak * epoch / warmup
        : peak * Falling((double)(epoch - warmup) / Math.Max(1, epochs - warmup));

    /// <summary>
    /// A quantity on its way from <paramref name="from"/>, held in epoch 0, to <paramref name="to"/>, reached as the last epoch ends.
    /// </summary>
    public static double Value(Curve curve, double from, double to, int epoch, int epochs)
    {
        var progress = (double)epoch / Math.Max(1, epochs);
        return curve switch
        {
            Curve.Cosine => to + ((from - to) * Falling(progress)),
            Curve.Linear => from + ((to - from) * progress),
            _ => from,
        };
    }

    /// <summary>τ of a search epoch.</summary>
    public static double Temperature(SearchSettings settings, int epoch)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return Value(settings.TemperatureCurve, settings.TemperatureFrom, settings.TemperatureTo, epoch, settings.Epochs);
    }

    private static double Falling(double progress) => 0.5 * (1 + Math.Cos(Math.PI * progress));
}
