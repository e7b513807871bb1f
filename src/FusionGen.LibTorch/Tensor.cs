using System.Globalization;
using System.Runtime.CompilerServices;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// A tensor of libtorch or, where there is none, a managed one. Owns one handle, given up by <see cref="Dispose()"/>, by the <see cref="DisposeScope"/> it was
    /// created in, or at last by the finaliser; any use after that is an <see cref="ObjectDisposedException"/>.
    /// Methods that end in an underscore work in place and return the same object.
    /// </summary>
    public unsafe partial class Tensor : IDisposable
    {
        private readonly int kibibytes;
        private nint handle;

        /// <summary>Takes over a handle.</summary>
        internal Tensor(nint handle, int kibibytes = 0)
        {
            this.handle = handle;
            if (kibibytes >= NativeMemory.Threshold)
            {
                this.kibibytes = kibibytes;
                NativeMemory.Add(kibibytes);
            }
            DisposeScope.Welcome(this);
        }

        /// <summary>Takes over another tensor, its place in a scope included; <paramref name="source"/> is then disposed.</summary>
        private protected Tensor(Tensor source)
        {
            var scope = source.Scope;
            this.handle = Interlocked.Exchange(ref source.handle, 0);
            ObjectDisposedException.ThrowIf(this.handle == 0, source);
            DisposeScope.Move(source, null);
            source.Dispose();
            DisposeScope.Move(this, scope);
        }

        ~Tensor() => this.Dispose(false);

        /// <summary>Handles not released; tensors of the autograd graph are not counted.</summary>
        public static long TotalCount => Handles.Live;

        public nint Handle
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get
            {
                var value = this.handle;
                ObjectDisposedException.ThrowIf(value == 0, this);
                return value;
            }
        }

        public bool IsInvalid => this.handle == 0;

        public long[] shape
        {
            get
            {
                var sizes = new long[this.ndim];
                Handles.Sizes(this.Handle, sizes);
                GC.KeepAlive(this);
                return sizes;
            }
        }

        public long ndim => Kept(Handles.Dim(this.Handle));

        public ScalarType dtype => Kept(Handles.DType(this.Handle));

        public long NumberOfElements => this.numel();

        public long ElementSize => this.element_size();

        public DeviceType device_type => Kept(Handles.Device(this.Handle)).Type;

        public int device_index => Kept(Handles.Device(this.Handle)).Index;

        public Device device => new(this.device_type, this.device_index);

        public bool is_cuda => this.device_type == DeviceType.CUDA;

        /// <summary>The tensor's own bytes; they live as long as the tensor.</summary>
        /// <exception cref="NotSupportedException">The tensor is not contiguous or not in the CPU's memory.</exception>
        public Span<byte> bytes
        {
            get
            {
                if (!this.is_contiguous())
                    throw new NotSupportedException("bytes are those of a contiguous tensor; call contiguous() first");
                return new Span<byte>(this.CpuData(), checked((int)(this.numel() * this.element_size())));
            }

            set
            {
                if (value.Length != this.numel() * this.element_size())
                    throw new ArgumentException($"{value.Length} bytes for a tensor of {this.numel() * this.element_size()}", nameof(value));
                value.CopyTo(this.bytes);
            }
        }

        internal DisposeScope? Scope { get; set; }

        public static Tensor UnsafeCreateTensor(nint handle) => new(handle);

        public long numel() => Kept(Handles.Numel(this.Handle));

        public long element_size() => this.dtype.ElementSize();

        public long dim() => this.ndim;

        public long[] size() => this.shape;

        public long size(int dim) => this.shape[Wrap(dim, this.ndim)];

        public long[] stride()
        {
            var strides = new long[this.ndim];
            Handles.Strides(this.Handle, strides);
            GC.KeepAlive(this);
            return strides;
        }

        public long stride(int dim) => this.stride()[Wrap(dim, this.ndim)];

        public long storage_offset() => Kept(Handles.StorageOffset(this.Handle));

        public bool is_contiguous() => Kept(Handles.IsContiguous(this.Handle));

        public bool is_cpu() => this.device_type == DeviceType.CPU;

        public bool is_floating_point() => torch.is_floating_point(this.dtype);

        public bool is_integral() => this.dtype is ScalarType.Byte or ScalarType.Int8 or ScalarType.Int16 or ScalarType.Int32 or ScalarType.Int64;

        /// <summary>Typed access to the elements, in row-major order whatever the strides.</summary>
        /// <exception cref="ArgumentException"><typeparamref name="T"/> is not the tensor's type.</exception>
        /// <exception cref="InvalidOperationException">The tensor is not in the CPU's memory.</exception>
        public TensorAccessor<T> data<T>()
            where T : unmanaged => new(this);

        /// <summary>The only element.</summary>
        /// <exception cref="ArgumentException">The tensor has not exactly one element, or another type.</exception>
        public T item<T>()
            where T : unmanaged
        {
            if (this.numel() != 1)
                throw new ArgumentException($"item() is for tensors of one element, not {this}");
            if (!this.is_cpu())
            {
                using var here = this.cpu();
                return here.item<T>();
            }
            ElementType.Require<T>(this.dtype);
            var value = *(T*)this.CpuData();
            GC.KeepAlive(this);
            return value;
        }

        public Scalar ToScalar() => Scalar.Of(Operators.item.CallValue(this));

        public void Dispose()
        {
            this.Dispose(true);
            GC.SuppressFinalize(this);
        }

        /// <summary>Takes the tensor out of its scope: only its owner, or the finaliser, disposes it then.</summary>
        public Tensor DetachFromDisposeScope()
        {
            DisposeScope.Move(this, null);
            return this;
        }

        public Tensor MoveToOuterDisposeScope()
        {
            this.Scope?.MoveToOuter(this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(DisposeScope? other)
        {
            DisposeScope.Move(this, other);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(Tensor other)
        {
            ArgumentNullException.ThrowIfNull(other);
            return this.MoveToOtherDisposeScope(other.Scope);
        }

        /// <summary>Whether both are the same object; elementwise comparison is <see cref="eq(Tensor)"/>.</summary>
        public override bool Equals(object? obj) => ReferenceEquals(this, obj);

        public override int GetHashCode() => RuntimeHelpers.GetHashCode(this);

        /// <summary>Shape, type and device.</summary>
        public override string ToString() => this.IsInvalid
            ? "disposed tensor"
            : string.Create(CultureInfo.InvariantCulture, $"[{string.Join('x', this.shape)}], type = {this.dtype}, device = {this.device}");

        /// <summary>Takes over what another tensor is, which is then disposed; a leaf stays a leaf that requires gradients or not.</summary>
        internal void Become(Tensor other)
        {
            var wanted = this.requires_grad;
            using (other)
            {
                Handles.Release(Interlocked.Exchange(ref this.handle, Handles.Share(other.Handle)));
            }
            this.requires_grad = wanted;
        }

        /// <summary>Address of the first element.</summary>
        internal void* CpuData()
        {
            if (!this.is_cpu())
                throw new InvalidOperationException($"the elements of {this} cannot be read from here; call cpu() first");
            return Handles.Data(this.Handle);
        }

        protected virtual void Dispose(bool disposing)
        {
            var owned = Interlocked.Exchange(ref this.handle, 0);
            if (owned == 0)
                return;
            if (disposing)
                DisposeScope.Forget(this);
            Handles.Release(owned);
            if (this.kibibytes != 0)
                NativeMemory.Remove(this.kibibytes);
        }

        private static long Wrap(long dim, long count) => dim < 0 ? dim + count : dim;

        private T Kept<T>(T result)
        {
            GC.KeepAlive(this);
            return result;
        }
    }
}
