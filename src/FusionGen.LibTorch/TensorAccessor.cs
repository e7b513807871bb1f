using System.Collections;
using static TorchSharp.torch;

namespace TorchSharp.Utils
{
    /// <summary>Reads and writes a CPU tensor's elements in row-major order, whatever its strides.</summary>
    public sealed unsafe class TensorAccessor<T> : IDisposable, IEnumerable<T>
        where T : unmanaged
    {
        private readonly Tensor tensor;

        internal TensorAccessor(Tensor tensor)
        {
            ElementType.Require<T>(tensor.dtype);
            _ = tensor.CpuData();
            this.tensor = tensor;
        }

        public long Count => this.tensor.numel();

        public bool IsReadOnly => false;

        public T this[params long[] indices]
        {
            get
            {
                var value = *this.Address(indices);
                GC.KeepAlive(this.tensor);
                return value;
            }

            set
            {
                *this.Address(indices) = value;
                GC.KeepAlive(this.tensor);
            }
        }

        public T[] ToArray()
        {
            var array = new T[this.Count];
            this.CopyTo(array);
            return array;
        }

        /// <summary>Copies the elements from <paramref name="tensorIndex"/> on.</summary>
        /// <exception cref="ArgumentException">The array is too short.</exception>
        public void CopyTo(Span<T> array, int arrayIndex = 0, long tensorIndex = 0)
        {
            var length = this.Count - tensorIndex;
            if (array.Length - arrayIndex < length)
                throw new ArgumentException($"{length} elements do not fit into {array.Length - arrayIndex}", nameof(array));
            using var source = this.tensor.contiguous();
            new ReadOnlySpan<T>((T*)source.CpuData() + tensorIndex, checked((int)length)).CopyTo(array[arrayIndex..]);
            GC.KeepAlive(source);
        }

        public void CopyTo(T[] array, int arrayIndex = 0, long tensorIndex = 0) => this.CopyTo(array.AsSpan(), arrayIndex, tensorIndex);

        /// <summary>Overwrites the elements from <paramref name="tensorIndex"/> on.</summary>
        /// <exception cref="ArgumentException">The array holds more than the tensor.</exception>
        public void CopyFrom(ReadOnlySpan<T> array, int arrayIndex = 0, long tensorIndex = 0)
        {
            var values = array[arrayIndex..];
            if (values.Length > this.Count - tensorIndex)
                throw new ArgumentException($"{values.Length} elements do not fit into {this.Count - tensorIndex}", nameof(array));
            if (this.tensor.is_contiguous())
            {
                values.CopyTo(new Span<T>((T*)this.tensor.CpuData() + tensorIndex, values.Length));
                GC.KeepAlive(this.tensor);
                return;
            }
            for (var i = 0; i < values.Length; i++)
                *this.AddressOf(tensorIndex + i) = values[i];
        }

        public void CopyFrom(T[] array, int arrayIndex = 0, long tensorIndex = 0) => this.CopyFrom(array.AsSpan(), arrayIndex, tensorIndex);

        public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)this.ToArray()).GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => this.GetEnumerator();

        /// <summary>The tensor stays its owner's.</summary>
        public void Dispose()
        {
        }

        /// <summary>One index counts in row-major order; else there is one index per dimension.</summary>
        private T* Address(long[] indices)
        {
            var shape = this.tensor.shape;
            if (indices.Length == 1 && shape.Length != 1)
                return this.AddressOf(indices[0]);
            if (indices.Length != shape.Length)
                throw new ArgumentException($"{indices.Length} indices for {shape.Length} dimensions", nameof(indices));
            var strides = this.tensor.stride();
            var offset = 0L;
            for (var i = 0; i < shape.Length; i++)
            {
                ArgumentOutOfRangeException.ThrowIfNegative(indices[i], nameof(indices));
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(indices[i], shape[i], nameof(indices));
                offset += indices[i] * strides[i];
            }
            return (T*)this.tensor.CpuData() + offset;
        }

        private T* AddressOf(long position)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(position);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, this.Count);
            var shape = this.tensor.shape;
            var strides = this.tensor.stride();
            var offset = 0L;
            for (var i = shape.Length - 1; i >= 0; i--)
            {
                offset += position % shape[i] * strides[i];
                position /= shape[i];
            }
            return (T*)this.tensor.CpuData() + offset;
        }
    }
}

namespace TorchSharp
{
    /// <summary>Which C# type an element type is.</summary>
    internal static class ElementType
    {
        /// <exception cref="ArgumentException"><typeparamref name="T"/> is not <paramref name="dtype"/>.</exception>
        public static void Require<T>(ScalarType dtype)
        {
            if (Of(typeof(T)) != dtype)
                throw new ArgumentException($"{typeof(T).Name} is not the element type of a {dtype} tensor");
        }

        /// <summary>Null where libtorch has no such type.</summary>
        public static ScalarType? Of(Type type) =>
            type == typeof(float) ? ScalarType.Float32 :
            type == typeof(long) ? ScalarType.Int64 :
            type == typeof(double) ? ScalarType.Float64 :
            type == typeof(int) ? ScalarType.Int32 :
            type == typeof(byte) ? ScalarType.Byte :
            type == typeof(bool) ? ScalarType.Bool :
            type == typeof(short) ? ScalarType.Int16 :
            type == typeof(sbyte) ? ScalarType.Int8 :
            type == typeof(Half) ? ScalarType.Float16 :
            null;
    }
}
