namespace TorchSharp;

public static partial class torch
{
    public static Tensor add(Tensor left, Tensor right) => Checked(left).add(right);

    public static Tensor add(Tensor left, Tensor right, Scalar alpha) => Checked(left).add(right, alpha);

    public static Tensor add(Tensor left, Scalar right) => Checked(left).add(right);

    public static Tensor sub(Tensor left, Tensor right) => Checked(left).sub(right);

    public static Tensor sub(Tensor left, Scalar right) => Checked(left).sub(right);

    public static Tensor mul(Tensor left, Tensor right) => Checked(left).mul(right);

    public static Tensor mul(Tensor left, Scalar right) => Checked(left).mul(right);

    public static Tensor div(Tensor left, Tensor right, RoundingMode rounding_mode = RoundingMode.None) => Checked(left).div(right, rounding_mode);

    public static Tensor div(Tensor left, Scalar right, RoundingMode rounding_mode = RoundingMode.None) => Checked(left).div(right, rounding_mode);

    public static Tensor pow(Tensor left, Tensor exponent) => Checked(left).pow(exponent);

    public static Tensor pow(Tensor left, Scalar exponent) => Checked(left).pow(exponent);

    public static Tensor maximum(Tensor input, Tensor other) => Checked(input).maximum(other);

    public static Tensor minimum(Tensor input, Tensor other) => Checked(input).minimum(other);

    public static Tensor clamp(Tensor input, Scalar? min = null, Scalar? max = null) => Checked(input).clamp(min, max);

    public static Tensor lerp(Tensor input, Tensor end, Tensor weight) => Checked(input).lerp(end, weight);

    public static Tensor matmul(Tensor input, Tensor target) => Checked(input).matmul(target);

    public static Tensor mm(Tensor input, Tensor target) => Checked(input).mm(target);

    public static Tensor bmm(Tensor input, Tensor batch2) => Checked(input).bmm(batch2);

    public static Tensor mv(Tensor input, Tensor target) => Checked(input).mv(target);

    public static Tensor dot(Tensor input, Tensor other) => Checked(input).dot(other);

    public static Tensor outer(Tensor input, Tensor vec2) => Checked(input).outer(vec2);

    public static Tensor addmm(Tensor input, Tensor mat1, Tensor mat2, float beta, float alpha) => Checked(input).addmm(mat1, mat2, beta, alpha);

    public static Tensor baddbmm(Tensor input, Tensor batch1, Tensor batch2, float beta = 1, float alpha = 1) =>
        Checked(input).baddbmm(batch1, batch2, beta, alpha);

    public static Tensor einsum(string equation, params Tensor[] tensors) => Operators.einsum.Call(equation, tensors);

    internal static Tensor Checked(Tensor input) => input ?? throw new ArgumentNullException(nameof(input));

    private static string? Name(RoundingMode mode) => mode == RoundingMode.None ? null : mode.ToString();

    public partial class Tensor
    {
        public static Tensor operator +(Tensor left, Tensor right) => Checked(left).add(right);

        public static Tensor operator +(Tensor left, Scalar right) => Checked(left).add(right);

        public static Tensor operator +(Scalar left, Tensor right) => Checked(right).add(left);

        public static Tensor operator +(Tensor left, double right) => Operators.add_scalar.Call(Checked(left), right);

        public static Tensor operator +(double left, Tensor right) => Operators.add_scalar.Call(Checked(right), left);

        public static Tensor operator +(Tensor left, float right) => left + (double)right;

        public static Tensor operator +(float left, Tensor right) => (double)left + right;

        public static Tensor operator +(Tensor left, long right) => Operators.add_scalar.Call(Checked(left), right);

        public static Tensor operator +(long left, Tensor right) => Operators.add_scalar.Call(Checked(right), left);

        public static Tensor operator +(Tensor left, int right) => left + (long)right;

        public static Tensor operator +(int left, Tensor right) => (long)left + right;

        public static Tensor operator -(Tensor left, Tensor right) => Checked(left).sub(right);

        public static Tensor operator -(Tensor left, Scalar right) => Checked(left).sub(right);

        public static Tensor operator -(Scalar left, Tensor right) => Operators.rsub.Call(Checked(right), left);

        public static Tensor operator -(Tensor left, double right) => Operators.sub_scalar.Call(Checked(left), right);

        public static Tensor operator -(double left, Tensor right) => Operators.rsub.Call(Checked(right), left);

        public static Tensor operator -(Tensor left, float right) => left - (double)right;

        public static Tensor operator -(float left, Tensor right) => (double)left - right;

        public static Tensor operator -(Tensor left, long right) => Operators.sub_scalar.Call(Checked(left), right);

        public static Tensor operator -(long left, Tensor right) => Operators.rsub.Call(Checked(right), left);

        public static Tensor operator -(Tensor left, int right) => left - (long)right;

        public static Tensor operator -(int left, Tensor right) => (long)left - right;

        public static Tensor operator -(Tensor tensor) => Checked(tensor).neg();

        public static Tensor operator *(Tensor left, Tensor right) => Checked(left).mul(right);

        public static Tensor operator *(Tensor left, Scalar right) => Checked(left).mul(right);

        public static Tensor operator *(Scalar left, Tensor right) => Checked(right).mul(left);

        public static Tensor operator *(Tensor left, double right) => Operators.mul_scalar.Call(Checked(left), right);

        public static Tensor operator *(double left, Tensor right) => Operators.mul_scalar.Call(Checked(right), left);

        public static Tensor operator *(Tensor left, float right) => left * (double)right;

        public static Tensor operator *(float left, Tensor right) => (double)left * right;

        public static Tensor operator *(Tensor left, long right) => Operators.mul_scalar.Call(Checked(left), right);

        public static Tensor operator *(long left, Tensor right) => Operators.mul_scalar.Call(Checked(right), left);

        public static Tensor operator *(Tensor left, int right) => left * (long)right;

        public static Tensor operator *(int left, Tensor right) => (long)left * right;

        public static Tensor operator /(Tensor left, Tensor right) => Checked(left).div(right);

        public static Tensor operator /(Tensor left, Scalar right) => Checked(left).div(right);

        public static Tensor operator /(Scalar left, Tensor right) => Inverse(Checked(right), left);

        public static Tensor operator /(Tensor left, double right) => Operators.div_scalar.Call(Checked(left), right);

        public static Tensor operator /(double left, Tensor right) => Inverse(Checked(right), left);

        public static Tensor operator /(Tensor left, float right) => left / (double)right;

        public static Tensor operator /(float left, Tensor right) => (double)left / right;

        public static Tensor operator /(Tensor left, long right) => Operators.div_scalar.Call(Checked(left), right);

        public static Tensor operator /(long left, Tensor right) => Inverse(Checked(right), left);

        public static Tensor operator /(Tensor left, int right) => left / (long)right;

        public static Tensor operator /(int left, Tensor right) => (long)left / right;

        public static Tensor operator %(Tensor left, Tensor right) => Checked(left).remainder(right);

        public static Tensor operator %(Tensor left, Scalar right) => Checked(left).remainder(right);

        public static Tensor operator &(Tensor left, Tensor right) => Operators.bitwise_and.Call(Checked(left), right);

        public static Tensor operator |(Tensor left, Tensor right) => Operators.bitwise_or.Call(Checked(left), right);

        public static Tensor operator ~(Tensor left) => Operators.bitwise_not.Call(Checked(left));

        public Tensor add(Tensor target) => Operators.add.Call(this, target);

        public Tensor add(Tensor target, Scalar alpha) => Operators.add.Call(this, target, alpha);

        public Tensor add(Scalar scalar) => Operators.add_scalar.Call(this, scalar);

        public Tensor add(Scalar scalar, Scalar alpha) => Operators.add_scalar.Call(this, scalar, alpha);

        public Tensor add_(Tensor target) => Operators.add_.CallOn(this, target);

        public Tensor add_(Tensor target, Scalar alpha) => Operators.add_.CallOn(this, target, alpha);

        public Tensor add_(Scalar scalar) => Operators.add_scalar_.CallOn(this, scalar);

        public Tensor add_(Scalar scalar, Scalar alpha) => Operators.add_scalar_.CallOn(this, scalar, alpha);

        public Tensor sub(Tensor target) => Operators.sub.Call(this, target);

        public Tensor sub(Scalar target) => Operators.sub_scalar.Call(this, target);

        public Tensor sub_(Tensor target) => Operators.sub_.CallOn(this, target);

        public Tensor sub_(Scalar target) => Operators.sub_scalar_.CallOn(this, target);

        public Tensor mul(Tensor target) => Operators.mul.Call(this, target);

        public Tensor mul(Scalar target) => Operators.mul_scalar.Call(this, target);

        public Tensor mul_(Tensor target) => Operators.mul_.CallOn(this, target);

        public Tensor mul_(Scalar target) => Operators.mul_scalar_.CallOn(this, target);

        public Tensor div(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => rounding_mode == RoundingMode.None
            ? Operators.div.Call(this, target)
            : Operators.div_mode.Call(this, target, Name(rounding_mode));

        public Tensor div(Scalar target, RoundingMode rounding_mode = RoundingMode.None) => rounding_mode == RoundingMode.None
            ? Operators.div_scalar.Call(this, target)
            : Operators.div_mode_scalar.Call(this, target, Name(rounding_mode));

        public Tensor div_(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => rounding_mode == RoundingMode.None
            ? Operators.div_.CallOn(this, target)
            : Operators.div_mode_.CallOn(this, target, Name(rounding_mode));

        public Tensor div_(Scalar target, RoundingMode rounding_mode = RoundingMode.None) => rounding_mode == RoundingMode.None
            ? Operators.div_scalar_.CallOn(this, target)
            : Operators.div_mode_scalar_.CallOn(this, target, Name(rounding_mode));

        public Tensor remainder(Tensor target) => Operators.remainder.Call(this, target);

        public Tensor remainder(Scalar scalar) => Operators.remainder_scalar.Call(this, scalar);

        public Tensor pow(Tensor exponent) => Operators.pow.Call(this, exponent);

        public Tensor pow(Scalar exponent) => Operators.pow_scalar.Call(this, exponent);

        public Tensor pow_(Tensor exponent) => Operators.pow_.CallOn(this, exponent);

        public Tensor pow_(Scalar exponent) => Operators.pow_scalar_.CallOn(this, exponent);

        public Tensor clamp(Scalar? min = null, Scalar? max = null) => Operators.clamp.Call(this, min, max);

        public Tensor clamp(Tensor? min = null, Tensor? max = null) => Operators.clamp_tensor.Call(this, min, max);

        public Tensor clamp_(Scalar? min = null, Scalar? max = null) => Operators.clamp_.CallOn(this, min, max);

        public Tensor clamp_(Tensor? min = null, Tensor? max = null) => Operators.clamp_tensor_.CallOn(this, min, max);

        public Tensor clamp_min(Scalar min) => Operators.clamp_min.Call(this, min);

        public Tensor clamp_min_(Scalar min) => Operators.clamp_min_.CallOn(this, min);

        public Tensor clamp_max(Scalar max) => Operators.clamp_max.Call(this, max);

        public Tensor clamp_max_(Scalar max) => Operators.clamp_max_.CallOn(this, max);

        public Tensor maximum(Tensor other) => Operators.maximum.Call(this, other);

        public Tensor minimum(Tensor other) => Operators.minimum.Call(this, other);

        public Tensor addcmul(Tensor tensor1, Tensor tensor2, Scalar value) => Operators.addcmul.Call(this, tensor1, tensor2, value);

        public Tensor addcmul_(Tensor tensor1, Tensor tensor2, Scalar value) => Operators.addcmul_.CallOn(this, tensor1, tensor2, value);

        public Tensor addcdiv(Tensor tensor1, Tensor tensor2, Scalar value) => Operators.addcdiv.Call(this, tensor1, tensor2, value);

        public Tensor addcdiv(Tensor tensor1, Tensor tensor2) => Operators.addcdiv.Call(this, tensor1, tensor2);

        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2, Scalar value) => Operators.addcdiv_.CallOn(this, tensor1, tensor2, value);

        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2) => Operators.addcdiv_.CallOn(this, tensor1, tensor2);

        public Tensor lerp(Tensor end, Tensor weight) => Operators.lerp.Call(this, end, weight);

        public Tensor lerp_(Tensor end, Tensor weight) => Operators.lerp_.CallOn(this, end, weight);

        public Tensor matmul(Tensor target) => Operators.matmul.Call(this, target);

        public Tensor mm(Tensor target) => Operators.mm.Call(this, target);

        public Tensor bmm(Tensor batch2) => Operators.bmm.Call(this, batch2);

        public Tensor mv(Tensor target) => Operators.mv.Call(this, target);

        public Tensor dot(Tensor target) => Operators.dot.Call(this, target);

        public Tensor outer(Tensor vec2) => Operators.outer.Call(this, vec2);

        public Tensor addmm(Tensor mat1, Tensor mat2, float beta = 1, float alpha = 1) => Operators.addmm.Call(this, mat1, mat2, beta, alpha);

        public Tensor addmm_(Tensor mat1, Tensor mat2, float beta = 1, float alpha = 1) => Operators.addmm_.CallOn(this, mat1, mat2, beta, alpha);

        public Tensor baddbmm(Tensor batch1, Tensor batch2, float beta = 1, float alpha = 1) =>
            Operators.baddbmm.Call(this, batch1, batch2, beta, alpha);

        private static Tensor Inverse(Tensor divisor, Scalar dividend)
        {
            using var reciprocal = divisor.reciprocal();
            return reciprocal.mul(dividend);
        }
    }
}
