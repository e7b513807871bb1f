namespace TorchSharp;

public static partial class torch
{
    public static Tensor sum(Tensor input, ScalarType? type = null) => Checked(input).sum(type);

    public static Tensor sum(Tensor input, long dim, bool keepdim = false, ScalarType? type = null) => Checked(input).sum(dim, keepdim, type);

    public static Tensor mean(Tensor input) => Checked(input).mean();

    public static Tensor mean(Tensor input, long[] dimensions, bool keepdim = false, ScalarType? type = null) => Checked(input).mean(dimensions, keepdim, type);

    public static Tensor max(Tensor input) => Checked(input).max();

    public static (Tensor values, Tensor indexes) max(Tensor input, long dim, bool keepdim = false) => Checked(input).max(dim, keepdim);

    public static Tensor min(Tensor input) => Checked(input).min();

    public static (Tensor values, Tensor indexes) min(Tensor input, long dim, bool keepdim = false) => Checked(input).min(dim, keepdim);

    public static Tensor argmax(Tensor input) => Checked(input).argmax();

    public static Tensor argmax(Tensor input, long dim, bool keepdim = false) => Checked(input).argmax(dim, keepdim);

    public static (Tensor Values, Tensor Indices) sort(Tensor input, long dim = -1, bool descending = false, bool stable = false) =>
        Checked(input).sort(dim, descending, stable);

    public static Tensor logsumexp(Tensor input, long dim, bool keepdim = false) => Checked(input).logsumexp(dim, keepdim);

    public static Tensor softmax(Tensor input, int dim, ScalarType? dtype = null) => Checked(input).softmax(dim, dtype);

    public static Tensor norm(Tensor input) => Checked(input).norm();

    public static Tensor all(Tensor input) => Checked(input).all();

    public static Tensor any(Tensor input) => Checked(input).any();

    public partial class Tensor
    {
        public Tensor sum(ScalarType? type = null) => Operators.sum.Call(this, type);

        public Tensor sum(long dim, bool keepdim = false, ScalarType? type = null) => this.sum([dim], keepdim, type);

        public Tensor sum(long[] dim, bool keepdim = false, ScalarType? type = null) => Operators.sum_dim.Call(this, dim, keepdim, type);

        public Tensor sum(ReadOnlySpan<long> dim, bool keepdim = false, ScalarType? type = null) => this.sum(dim.ToArray(), keepdim, type);

        public Tensor prod(ScalarType? type = null) => Operators.prod.Call(this, type);

        public Tensor prod(long dim, bool keepdim = false, ScalarType? type = null) => Operators.prod_dim.Call(this, dim, keepdim, type);

        public Tensor mean() => Operators.mean.Call(this);

        public Tensor mean(long[] dimensions, bool keepdim = false, ScalarType? type = null) => Operators.mean_dim.Call(this, dimensions, keepdim, type);

        public Tensor var(bool unbiased = true) => Operators.var.Call(this, unbiased);

        public Tensor var(long dim, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => this.var([dim], unbiased, keepdim, type);

        public Tensor var(long[] dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null) =>
            Converted(Operators.var_dim.Call(this, dimensions, unbiased, keepdim), type);

        public Tensor std(bool unbiased = true) => Operators.std.Call(this, unbiased);

        public Tensor std(long dim, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => this.std([dim], unbiased, keepdim, type);

        public Tensor std(long[] dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null) =>
            Converted(Operators.std_dim.Call(this, dimensions, unbiased, keepdim), type);

        public Tensor max() => Operators.max.Call(this);

        public (Tensor values, Tensor indexes) max(long dim, bool keepdim = false) => Operators.max_dim.CallPair(this, dim, keepdim);

        public Tensor max(Tensor other) => this.maximum(other);

        public Tensor min() => Operators.min.Call(this);

        public (Tensor values, Tensor indexes) min(long dim, bool keepdim = false) => Operators.min_dim.CallPair(this, dim, keepdim);

        public Tensor min(Tensor other) => this.minimum(other);

        public Tensor amax(long[] dims, bool keepdim = false, Tensor? @out = null) => @out is null
            ? Operators.amax.Call(this, dims, keepdim)
            : Operators.amax_out.Call(this, dims, keepdim, @out);

        public Tensor amin(long[] dims, bool keepdim = false, Tensor? @out = null) => @out is null
            ? Operators.amin.Call(this, dims, keepdim)
            : Operators.amin_out.Call(this, dims, keepdim, @out);

        public Tensor argmax() => Operators.argmax.Call(this);

        public Tensor argmax(long dim, bool keepdim = false) => Operators.argmax.Call(this, dim, keepdim);

        public Tensor argmin() => Operators.argmin.Call(this);

        public Tensor argmin(long dim, bool keepdim = false) => Operators.argmin.Call(this, dim, keepdim);

        public Tensor argsort(long dim = -1, bool descending = false) => Operators.argsort.Call(this, dim, descending);

        public (Tensor values, Tensor indexes) topk(int k, int dim = -1, bool largest = true, bool sorted = true) =>
            Operators.topk.CallPair(this, k, dim, largest, sorted);

        public (Tensor Values, Tensor Indices) sort(long dim = -1, bool descending = false, bool stable = false) =>
            Operators.sort.CallPair(this, stable, dim, descending);

        public Tensor norm(float p = 2) => Operators.norm.Call(this, p);

        public Tensor norm(int dim, bool keepdim = false, float p = 2) => Operators.norm_dim.Call(this, p, new long[] { dim }, keepdim);

        public Tensor logsumexp(long dim, bool keepdim = false) => Operators.logsumexp.Call(this, new[] { dim }, keepdim);

        public Tensor cumsum(long dim, ScalarType? type = null) => Operators.cumsum.Call(this, dim, type);

        public Tensor count_nonzero(long[]? dims = null)
        {
            dims ??= [.. Enumerable.Range(0, (int)this.ndim)];
            return Operators.count_nonzero.Call(this, dims);
        }

        public Tensor softmax(long dim, ScalarType? dtype = null) => Operators.softmax.Call(this, dim, dtype);

        public Tensor log_softmax(long dim, ScalarType? dtype = null) => Operators.log_softmax.Call(this, dim, dtype);

        private static Tensor Converted(Tensor result, ScalarType? type)
        {
            if (type is not { } wanted || result.dtype == wanted)
                return result;
            using (result)
                return result.to(wanted);
        }
    }
}
