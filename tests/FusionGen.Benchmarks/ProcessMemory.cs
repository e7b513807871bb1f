namespace FusionGen.Benchmarks;

/// <summary>Resident memory of this process, as the system counts it.</summary>
internal static class ProcessMemory
{
    /// <summary>Bytes now.</summary>
    public static long Resident => Read("VmRSS:");

    /// <summary>Most bytes since <see cref="ForgetPeak"/>, or since the start where the system cannot forget.</summary>
    public static long Peak => Read("VmHWM:");

    /// <summary>From here on the peak is that of what follows.</summary>
    public static void ForgetPeak()
    {
        try
        {
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static long Read(string field)
    {
        const string status = "/proc/self/status";
        if (!File.Exists(status))
            return Environment.WorkingSet;
        var line = File.ReadLines(status).FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal));
        return line is null ? Environment.WorkingSet : 1024 * long.Parse(line[field.Length..].Trim().Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
    }
}
