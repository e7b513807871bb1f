using System.Runtime.CompilerServices;

namespace TorchSharp;

public static partial class torch
{
    public static Tensor where(Tensor condition, Tensor x, Tensor y) => Operators.where.Call(condition, x, y);

    public static Tensor gather(Tensor input, long dim, Tensor index) => Checked(input).gather(dim, index);

    public static Tensor index_select(Tensor input, long dim, Tensor index) => Checked(input).index_select(dim, index);

    public static Tensor scatter(Tensor input, long dim, Tensor index, Tensor src) => Checked(input).scatter(dim, index, src);

    public static Tensor scatter_(Tensor input, long dim, Tensor index, Tensor src) => Checked(input).scatter_(dim, index, src);

    /// <summary>One place of an index: a number, a range, an ellipsis, a new axis or a tensor of positions.</summary>
    public readonly struct TensorIndex
    {
        public static readonly TensorIndex Ellipsis = new(Kind.Ellipsis);
        public static readonly TensorIndex Null = new(Kind.NewAxis);
        public static readonly TensorIndex None = Null;
        public static readonly TensorIndex Colon = Slice();

        private readonly Kind kind;
        private readonly long? start;
        private readonly long? stop;
        private readonly long? step;
        private readonly Tensor? tensor;

        private TensorIndex(Kind kind, long? start = null, long? stop = null, long? step = null, Tensor? tensor = null)
        {
            this.kind = kind;
            this.start = start;
            this.stop = stop;
            this.step = step;
            this.tensor = tensor;
        }

        private enum Kind
        {
            NewAxis,
            Ellipsis,
            Number,
            Range,
            Tensor,
        }

        public static implicit operator TensorIndex(long value) => Single(value);

        public static implicit operator TensorIndex(Range range) => Slice(range);

        public static implicit operator TensorIndex(Index index) => Single(From(index));

        public static implicit operator TensorIndex((int? Start, int? Stop) range) => Slice(range);

        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) => new(Kind.Range, start, stop, step);

        public static TensorIndex Slice((int? Start, int? Stop) range) => Slice(range.Start, range.Stop);

        public static TensorIndex Slice(Range range) =>
            Slice(From(range.Start), range.End.IsFromEnd && range.End.Value == 0 ? null : From(range.End));

        public static TensorIndex Single(long? index) => new(Kind.Number, index);

        public static TensorIndex Tensor(Tensor tensor) => new(Kind.Tensor, tensor: Checked(tensor));

        /// <summary>The view that everything but tensors selects, and the tensors by the dimension of that view they index; null for none.</summary>
        internal static (Tensor View, Tensor?[]? Positions) Apply(Tensor source, ReadOnlySpan<TensorIndex> indices)
        {
            var used = 0L;
            foreach (var index in indices)
                used += index.kind is Kind.Number or Kind.Range ? 1 : index.kind == Kind.Tensor ? index.Width : 0;
            if (used > source.ndim)
                throw new ArgumentException($"{used} indices for a tensor of {source.ndim} dimensions", nameof(indices));
            var view = source.alias();
            var positions = new List<Tensor?>();
            var any = false;
            var dim = 0L;
            foreach (var index in indices)
            {
                switch (index.kind)
                {
                    case Kind.Number:
                        view = Replace(view, view.select(dim, index.start!.Value));
                        break;
                    case Kind.Range:
                        view = Replace(view, view.slice(dim, index.start ?? 0, index.stop ?? long.MaxValue, index.step ?? 1));
                        dim++;
                        break;
                    case Kind.NewAxis:
                        view = Replace(view, view.unsqueeze(dim++));
                        break;
                    case Kind.Ellipsis:
                        dim += source.ndim - used;
                        break;
                    case Kind.Tensor:
                        while (positions.Count < dim)
                            positions.Add(null);
                        positions.Add(index.tensor);
                        any = true;
                        dim += index.Width;
                        break;
                }
            }
            return (view, any ? [.. positions] : null);
        }

        /// <summary>A mask takes as many dimensions as it has.</summary>
        private long Width => this.tensor!.dtype == ScalarType.Bool ? this.tensor.ndim : 1;

        private static long From(Index index) => index.IsFromEnd ? -index.Value : index.Value;

        private static Tensor Replace(Tensor old, Tensor view)
        {
            old.Dispose();
            return view;
        }
    }

    public partial class Tensor
    {
        [IndexerName("TensorItems")]
        public Tensor this[params TensorIndex[] indices]
        {
            get => this.index(indices);
            set
            {
                var (view, positions) = TensorIndex.Apply(this, indices);
                using (view)
                {
                    if (positions is null)
                        view.copy_(value);
                    else
                        Operators.index_put_.CallOn(view, Argument.Optional(positions), value);
                }
            }
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1]
        {
            get => this.select(0, i1);
            set => this[(TensorIndex)i1] = value;
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2]
        {
            get => this[(TensorIndex)i1, (TensorIndex)i2];
            set => this[(TensorIndex)i1, (TensorIndex)i2] = value;
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3]
        {
            get => this[(TensorIndex)i1, (TensorIndex)i2, (TensorIndex)i3];
            set => this[(TensorIndex)i1, (TensorIndex)i2, (TensorIndex)i3] = value;
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4]
        {
            get => this[(TensorIndex)i1, (TensorIndex)i2, (TensorIndex)i3, (TensorIndex)i4];
            set => this[(TensorIndex)i1, (TensorIndex)i2, (TensorIndex)i3, (TensorIndex)i4] = value;
        }

        [IndexerName("TensorItems")]
        public Tensor this[params Tensor[] indices]
        {
            get => this.index(indices);
            set => this.index_put_(value, indices);
        }

        public Tensor index(params Tensor[] indices) => Operators.index.Call(this, Argument.Optional(indices));

        public Tensor index_put_(Tensor value, params Tensor[] indices) => Operators.index_put_.CallOn(this, Argument.Optional(indices), value);

        public Tensor index(params TensorIndex[] indices)
        {
            var (view, positions) = TensorIndex.Apply(this, indices);
            if (positions is null)
                return view;
            using (view)
                return Operators.index.Call(view, Argument.Optional(positions));
        }

        public Tensor index_select(long dim, Tensor index) => Operators.index_select.Call(this, dim, index);

        public Tensor index_add_(long dim, Tensor index, Tensor source, Scalar alpha) => Operators.index_add_.CallOn(this, dim, index, source, alpha);

        public Tensor gather(long dim, Tensor index) => Operators.gather.Call(this, dim, index);

        public Tensor scatter(long dim, Tensor index, Tensor src) => Operators.scatter.Call(this, dim, index, src);

        public Tensor scatter_(long dim, Tensor index, Tensor src) => Operators.scatter_.CallOn(this, dim, index, src);

        public Tensor scatter_add(long dim, Tensor index, Tensor src) => Operators.scatter_add.Call(this, dim, index, src);

        public Tensor scatter_add_(long dim, Tensor index, Tensor src) => Operators.scatter_add_.CallOn(this, dim, index, src);

        public Tensor masked_fill(Tensor mask, Scalar value) => Operators.masked_fill.Call(this, mask, value);

        public Tensor masked_fill_(Tensor mask, Scalar value) => Operators.masked_fill_.CallOn(this, mask, value);

        public Tensor masked_select(Tensor mask) => Operators.masked_select.Call(this, mask);

        public Tensor nonzero() => Operators.nonzero.Call(this);

        public Tensor where(Tensor condition, Tensor y) => torch.where(condition, this, y);

        public Tensor take_along_dim(Tensor indices, long dim) => Operators.take_along_dim.Call(this, indices, dim);
    }
}
