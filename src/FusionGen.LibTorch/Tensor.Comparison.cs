namespace TorchSharp;

public static partial class torch
{
    public static Tensor eq(Tensor left, Tensor right) => Checked(left).eq(right);

    public static Tensor ne(Tensor left, Tensor right) => Checked(left).ne(right);

    public static Tensor lt(Tensor left, Tensor right) => Checked(left).lt(right);

    public static Tensor le(Tensor left, Tensor right) => Checked(left).le(right);

    public static Tensor gt(Tensor left, Tensor right) => Checked(left).gt(right);

    public static Tensor ge(Tensor left, Tensor right) => Checked(left).ge(right);

    public static bool allclose(Tensor tensor, Tensor target, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false) =>
        Checked(tensor).allclose(target, rtol, atol, equal_nan);

    public partial class Tensor
    {
        public Tensor eq(Tensor target) => Operators.eq.Call(this, target);

        public Tensor eq(Scalar target) => Operators.eq_scalar.Call(this, target);

        public Tensor ne(Tensor target) => Operators.ne.Call(this, target);

        public Tensor ne(Scalar target) => Operators.ne_scalar.Call(this, target);

        public Tensor lt(Tensor target) => Operators.lt.Call(this, target);

        public Tensor lt(Scalar target) => Operators.lt_scalar.Call(this, target);

        public Tensor le(Tensor target) => Operators.le.Call(this, target);

        public Tensor le(Scalar target) => Operators.le_scalar.Call(this, target);

        public Tensor gt(Tensor target) => Operators.gt.Call(this, target);

        public Tensor gt(Scalar target) => Operators.gt_scalar.Call(this, target);

        public Tensor ge(Tensor target) => Operators.ge.Call(this, target);

        public Tensor ge(Scalar target) => Operators.ge_scalar.Call(this, target);

        public static Tensor operator <(Tensor left, Tensor right) => left.lt(right);

        public static Tensor operator <(Tensor left, Scalar right) => left.lt(right);

        public static Tensor operator <=(Tensor left, Tensor right) => left.le(right);

        public static Tensor operator <=(Tensor left, Scalar right) => left.le(right);

        public static Tensor operator >(Tensor left, Tensor right) => left.gt(right);

        public static Tensor operator >(Tensor left, Scalar right) => left.gt(right);

        public static Tensor operator >=(Tensor left, Tensor right) => left.ge(right);

        public static Tensor operator >=(Tensor left, Scalar right) => left.ge(right);

        public Tensor logical_and(Tensor other) => Operators.logical_and.Call(this, other);

        public Tensor logical_or(Tensor other) => Operators.logical_or.Call(this, other);

        public Tensor logical_not() => Operators.logical_not.Call(this);

        public Tensor all() => Operators.all.Call(this);

        public Tensor all(long dim, bool keepdim = false) => Operators.all_dim.Call(this, dim, keepdim);

        public Tensor any() => Operators.any.Call(this);

        public Tensor any(long dim, bool keepdim = false) => Operators.any_dim.Call(this, dim, keepdim);

        public bool allclose(Tensor target, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false) =>
            Operators.allclose.CallValue(this, target, rtol, atol, equal_nan).Integer != 0;

        /// <summary>Elementwise, as <see cref="eq(Tensor)"/>; TorchSharp's name is misleading.</summary>
        public Tensor equal(Tensor target) => this.eq(target);

        /// <summary>Whether both have the same shape and elements.</summary>
        public bool Equals(Tensor target) => Operators.equal.CallValue(this, target).Integer != 0;
    }
}
