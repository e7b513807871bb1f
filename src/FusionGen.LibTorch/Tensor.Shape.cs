namespace TorchSharp;

public static partial class torch
{
    public static Tensor cat(Tensor[] tensors, long dim = 0) => Operators.cat.Call(tensors, dim);

    public static Tensor cat(IList<Tensor> tensors, long dim = 0) => cat(tensors.ToArray(), dim);

    public static Tensor cat(ReadOnlySpan<Tensor> tensors, long dim = 0) => cat(tensors.ToArray(), dim);

    public static Tensor stack(IEnumerable<Tensor> tensors, long dim = 0) => Operators.stack.Call(tensors.ToArray(), dim);

    public static Tensor[] split(Tensor tensor, long[] split_size_or_sections, long dim = 0) => Checked(tensor).split(split_size_or_sections, dim);

    public static Tensor reshape(Tensor input, params long[] shape) => Checked(input).reshape(shape);

    public static Tensor transpose(Tensor input, long dim0, long dim1) => Checked(input).transpose(dim0, dim1);

    public static Tensor permute(Tensor input, params long[] permutation) => Checked(input).permute(permutation);

    public static Tensor flatten(Tensor input, long start_dim = 0, long end_dim = -1) => Checked(input).flatten(start_dim, end_dim);

    public static Tensor squeeze(Tensor input, long? dim = null) => Checked(input).squeeze(dim);

    public static Tensor unsqueeze(Tensor input, long dim) => Checked(input).unsqueeze(dim);

    public static Tensor flip(Tensor input, params long[] dims) => Checked(input).flip(dims);

    public static Tensor roll(Tensor input, long[] shifts, long[] dims) => Checked(input).roll(shifts, dims);

    public partial class Tensor
    {
        public Tensor T => this.t();

        public Tensor t() => Operators.t.Call(this);

        public Tensor transpose(long dim0, long dim1) => Operators.transpose.Call(this, dim0, dim1);

        public Tensor permute(params long[] permutation) => Operators.permute.Call(this, permutation);

        public Tensor reshape(params long[] shape) => Operators.reshape.Call(this, shape);

        public Tensor view(params long[] shape) => Operators.view.Call(this, shape);

        public Tensor view_as(Tensor other) => Operators.view_as.Call(this, other);

        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Operators.flatten.Call(this, start_dim, end_dim);

        public Tensor unflatten(long dim, params long[] sizes) => Operators.unflatten.Call(this, dim, sizes);

        public Tensor expand(params long[] sizes) => Operators.expand.Call(this, sizes);

        public Tensor expand_as(Tensor other) => Operators.expand_as.Call(this, other);

        public Tensor unsqueeze(long dim) => Operators.unsqueeze.Call(this, dim);

        public Tensor squeeze(long? dim = null) => dim is { } d ? Operators.squeeze_dim.Call(this, d) : Operators.squeeze.Call(this);

        public Tensor narrow(long dim, long start, long length) => Operators.narrow.Call(this, dim, start, length);

        public Tensor slice(long dim, long start, long finish, long step) => Operators.slice.Call(this, dim, start, finish, step);

        public Tensor select(long dim, long index) => Operators.select.Call(this, dim, index);

        public Tensor diagonal(long offset = 0, long dim1 = 0, long dim2 = 1) => Operators.diagonal.Call(this, offset, dim1, dim2);

        public Tensor as_strided(long[] size, long[] strides, long storageOffset = 0) => Operators.as_strided.Call(this, size, strides, storageOffset);

        public Tensor[] split(long size, int dim = 0) => Operators.split.CallList(this, size, dim);

        public Tensor[] split(long[] sizes, long dim = 0) => Operators.split_sizes.CallList(this, sizes, dim);

        public Tensor[] chunk(long chunks, long dim = 0) => Operators.chunk.CallList(this, chunks, dim);

        public Tensor[] unbind(long dimension = 0) => Operators.unbind.CallList(this, dimension);

        public Tensor roll(long shifts, long? dims = null) => Operators.roll.Call(this, new[] { shifts }, dims is { } d ? new[] { d } : Array.Empty<long>());

        public Tensor roll(long[] shifts, long[] dims) => Operators.roll.Call(this, shifts, dims);

        public Tensor flip(params long[] dims) => Operators.flip.Call(this, dims);

        public Tensor repeat(params long[] sizes) => Operators.repeat.Call(this, sizes);

        public Tensor repeat_interleave(long repeats, long? dim = null, long? output_size = null) =>
            Operators.repeat_interleave.Call(this, repeats, dim, output_size);

        public Tensor tril(long diagonal = 0) => Operators.tril.Call(this, diagonal);

        public Tensor triu(long diagonal = 0) => Operators.triu.Call(this, diagonal);
    }
}
