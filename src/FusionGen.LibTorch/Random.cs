namespace TorchSharp;

public static partial class torch
{
    /// <summary>Seeds the default generator of every device.</summary>
    public static Generator manual_seed(long seed) => random.manual_seed(seed);

    public static class random
    {
        public static Generator manual_seed(long seed)
        {
            LibTorch.Require("torch's random generator");
            Native.Check(Native.ManualSeed(seed));
            return Generator.Default;
        }

        public static Tensor get_rng_state()
        {
            using var generator = Generator.Default;
            return generator.GetState();
        }

        public static void set_rng_state(Tensor new_state)
        {
            using var generator = Generator.Default;
            generator.SetState(new_state);
        }
    }

    /// <summary>A source of random numbers. One that is made by the constructor is independent of the device's default one.</summary>
    public class Generator : IDisposable
    {
        private readonly Device? place;
        private nint handle;

        public Generator(ulong seed = 0, Device? device = null)
            : this(device, fresh: true) => this.manual_seed(unchecked((long)seed));

        private Generator(Device? device, bool fresh)
        {
            LibTorch.Require("torch's random generator");
            this.place = device;
            Native.Check(Native.Generator((int)(device?.type ?? DeviceType.CPU), device?.index ?? 0, fresh ? 1 : 0, out this.handle));
        }

        ~Generator() => this.Dispose(false);

        /// <summary>The CPU's default generator.</summary>
        public static Generator Default => new(CPU, fresh: false);

        public Device device => this.place ?? CPU;

        public nint Handle
        {
            get
            {
                var value = this.handle;
                ObjectDisposedException.ThrowIf(value == 0, this);
                return value;
            }
        }

        public Generator manual_seed(long seed)
        {
            Native.Check(Native.GeneratorSetSeed(this.Handle, seed));
            GC.KeepAlive(this);
            return this;
        }

        public long initial_seed()
        {
            var seed = Native.GeneratorSeed(this.Handle);
            GC.KeepAlive(this);
            return seed;
        }

        /// <summary>Seeds from the system's entropy.</summary>
        public long seed()
        {
            Native.Check(Native.GeneratorReseed(this.Handle, out var seed));
            GC.KeepAlive(this);
            return seed;
        }

        internal Tensor GetState()
        {
            Native.Check(Native.GeneratorState(this.Handle, out var state));
            GC.KeepAlive(this);
            return new Tensor(state);
        }

        internal void SetState(Tensor value)
        {
            Native.Check(Native.GeneratorSetState(this.Handle, Checked(value).Handle));
            GC.KeepAlive(this);
            GC.KeepAlive(value);
        }

        public void Dispose()
        {
            this.Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
            var owned = Interlocked.Exchange(ref this.handle, 0);
            if (owned != 0)
                Native.GeneratorRelease(owned);
        }
    }
}
