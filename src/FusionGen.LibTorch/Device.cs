using System.Globalization;

namespace TorchSharp;

public static partial class torch
{
    public static readonly Device CPU = new(DeviceType.CPU);
    public static readonly Device META = new(DeviceType.META);

    public static Device CUDA => new(DeviceType.CUDA);

    public static Device device(DeviceType deviceType, int index = -1) => new(deviceType, index);

    public static Device device(string description) => new(description);

    /// <summary>Where a tensor lives. No value equality, as in TorchSharp: compare <see cref="type"/> and <see cref="index"/>.</summary>
    public class Device
    {
        public Device(DeviceType deviceType, int index = -1)
        {
            this.type = deviceType;
            this.index = index;
        }

        /// <summary>From <c>cpu</c>, <c>cuda</c> or <c>cuda:1</c>.</summary>
        /// <exception cref="ArgumentException">The text names no device.</exception>
        public Device(string description)
        {
            ArgumentNullException.ThrowIfNull(description);
            var parts = description.Split(':');
            this.type = parts[0].ToUpperInvariant() switch
            {
                "CPU" => DeviceType.CPU,
                "CUDA" => DeviceType.CUDA,
                "META" => DeviceType.META,
                _ => throw new ArgumentException($"'{description}' is no device; use cpu, cuda or cuda:N", nameof(description)),
            };
            this.index = -1;
            if (parts.Length == 1)
                return;
            if (parts.Length > 2 || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                throw new ArgumentException($"'{description}' is no device; use cpu, cuda or cuda:N", nameof(description));
            this.index = number;
        }

        public DeviceType type { get; }

        /// <summary>-1 for the current one of its type.</summary>
        public int index { get; }

        public static implicit operator Device(string description) => new(description);

        public override string ToString() =>
            this.type.ToString().ToLowerInvariant() + (this.index < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $":{this.index}"));
    }
}
