namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        public Tensor clone() => Operators.clone.Call(this);

        public Tensor detach() => Operators.detach.Call(this);

        public Tensor detach_() => Operators.detach_.CallOn(this);

        public Tensor alias() => Operators.alias.Call(this);

        public Tensor contiguous() => Operators.contiguous.Call(this);

        public Tensor copy_(Tensor source, bool nonBlocking = false) => Operators.copy_.CallOn(this, source, nonBlocking);

        public Tensor zero_() => Operators.zero_.CallOn(this);

        public Tensor fill_(Scalar value) => Operators.fill_.CallOn(this, value);

        public Tensor to(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            this.Moved(Operators.to_dtype.Call(this, type, non_blocking, copy), disposeAfter);

        public Tensor to(Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            this.to(this.dtype, device, copy, disposeAfter, non_blocking);

        public Tensor to(DeviceType deviceType, int deviceIndex = -1, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            this.to(new Device(deviceType, deviceIndex), copy, disposeAfter, non_blocking);

        public Tensor to(ScalarType type, Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            this.Moved(Operators.to_device.Call(this, device, type, non_blocking, copy), disposeAfter);

        public Tensor to(Tensor other, bool non_blocking = false) => this.to(Checked(other).dtype, other.device, non_blocking: non_blocking);

        public Tensor to_type(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            this.to(type, copy, disposeAfter, non_blocking);

        public Tensor type_as(Tensor tensor) => this.to(Checked(tensor).dtype);

        public Tensor cpu() => this.to(CPU);

        public Tensor cuda(Device? device = null, bool non_blocking = false) => this.to(device ?? CUDA, non_blocking: non_blocking);

        public Tensor pin_memory() => Operators.pin_memory.Call(this);

        public Tensor @float() => this.to(ScalarType.Float32);

        public Tensor @double() => this.to(ScalarType.Float64);

        public Tensor half() => this.to(ScalarType.Float16);

        public Tensor bfloat16() => this.to(ScalarType.BFloat16);

        public Tensor @int() => this.to(ScalarType.Int32);

        public Tensor @long() => this.to(ScalarType.Int64);

        public Tensor @bool() => this.to(ScalarType.Bool);

        public Tensor uniform_(double from, double to, Generator? generator = null) => Operators.uniform_.CallOn(this, from, to, generator);

        public Tensor normal_(double mean = 0, double std = 1, Generator? generator = null) => Operators.normal_.CallOn(this, mean, std, generator);

        public Tensor bernoulli(Generator? generator = null) => Operators.bernoulli.Call(this, generator);

        public Tensor bernoulli_(double p = 0.5, Generator? generator = null) => Operators.bernoulli_.CallOn(this, p, generator);

        /// <summary>Gives up this tensor if asked to, unless nothing had to move and the result shares its storage.</summary>
        private Tensor Moved(Tensor result, bool disposeAfter)
        {
            if (disposeAfter)
                this.Dispose();
            return result;
        }
    }
}
