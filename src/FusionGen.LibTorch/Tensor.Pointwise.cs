namespace TorchSharp;

public static partial class torch
{
    public static Tensor abs(Tensor input) => Checked(input).abs();

    public static Tensor abs_(Tensor input) => Checked(input).abs_();

    public static Tensor neg(Tensor input) => Checked(input).neg();

    public static Tensor neg_(Tensor input) => Checked(input).neg_();

    public static Tensor exp(Tensor input) => Checked(input).exp();

    public static Tensor exp_(Tensor input) => Checked(input).exp_();

    public static Tensor expm1(Tensor input) => Checked(input).expm1();

    public static Tensor log(Tensor input) => Checked(input).log();

    public static Tensor log_(Tensor input) => Checked(input).log_();

    public static Tensor log1p(Tensor input) => Checked(input).log1p();

    public static Tensor log2(Tensor input) => Checked(input).log2();

    public static Tensor sqrt(Tensor input) => Checked(input).sqrt();

    public static Tensor sqrt_(Tensor input) => Checked(input).sqrt_();

    public static Tensor rsqrt(Tensor input) => Checked(input).rsqrt();

    public static Tensor square(Tensor input) => Checked(input).square();

    public static Tensor reciprocal(Tensor input) => Checked(input).reciprocal();

    public static Tensor sin(Tensor input) => Checked(input).sin();

    public static Tensor cos(Tensor input) => Checked(input).cos();

    public static Tensor tanh(Tensor input) => Checked(input).tanh();

    public static Tensor sigmoid(Tensor input) => Checked(input).sigmoid();

    public static Tensor sigmoid_(Tensor input) => Checked(input).sigmoid_();

    public static Tensor erf(Tensor input) => Checked(input).erf();

    public static Tensor floor(Tensor input) => Checked(input).floor();

    public static Tensor ceil(Tensor input) => Checked(input).ceil();

    public static Tensor trunc(Tensor input) => Checked(input).trunc();

    public static Tensor sign(Tensor input) => Checked(input).sign();

    public static Tensor isnan(Tensor input) => Checked(input).isnan();

    public partial class Tensor
    {
        public Tensor abs() => Operators.abs.Call(this);

        public Tensor abs_() => Operators.abs_.CallOn(this);

        public Tensor neg() => Operators.neg.Call(this);

        public Tensor neg_() => Operators.neg_.CallOn(this);

        public Tensor exp() => Operators.exp.Call(this);

        public Tensor exp_() => Operators.exp_.CallOn(this);

        public Tensor expm1() => Operators.expm1.Call(this);

        public Tensor expm1_() => Operators.expm1_.CallOn(this);

        public Tensor log() => Operators.log.Call(this);

        public Tensor log_() => Operators.log_.CallOn(this);

        public Tensor log1p() => Operators.log1p.Call(this);

        public Tensor log1p_() => Operators.log1p_.CallOn(this);

        public Tensor log2() => Operators.log2.Call(this);

        public Tensor log2_() => Operators.log2_.CallOn(this);

        public Tensor sqrt() => Operators.sqrt.Call(this);

        public Tensor sqrt_() => Operators.sqrt_.CallOn(this);

        public Tensor rsqrt() => Operators.rsqrt.Call(this);

        public Tensor rsqrt_() => Operators.rsqrt_.CallOn(this);

        public Tensor square() => Operators.square.Call(this);

        public Tensor reciprocal() => Operators.reciprocal.Call(this);

        public Tensor reciprocal_() => Operators.reciprocal_.CallOn(this);

        public Tensor sin() => Operators.sin.Call(this);

        public Tensor sin_() => Operators.sin_.CallOn(this);

        public Tensor cos() => Operators.cos.Call(this);

        public Tensor cos_() => Operators.cos_.CallOn(this);

        public Tensor tanh() => Operators.tanh.Call(this);

        public Tensor tanh_() => Operators.tanh_.CallOn(this);

        public Tensor sigmoid() => Operators.sigmoid.Call(this);

        public Tensor sigmoid_() => Operators.sigmoid_.CallOn(this);

        public Tensor relu() => Operators.relu.Call(this);

        public Tensor relu_() => Operators.relu_.CallOn(this);

        public Tensor silu() => Operators.silu.Call(this);

        public Tensor silu_() => Operators.silu_.CallOn(this);

        public Tensor erf() => Operators.erf.Call(this);

        public Tensor erf_() => Operators.erf_.CallOn(this);

        public Tensor floor() => Operators.floor.Call(this);

        public Tensor floor_() => Operators.floor_.CallOn(this);

        public Tensor ceil() => Operators.ceil.Call(this);

        public Tensor ceil_() => Operators.ceil_.CallOn(this);

        public Tensor trunc() => Operators.trunc.Call(this);

        public Tensor trunc_() => Operators.trunc_.CallOn(this);

        public Tensor sign() => Operators.sign.Call(this);

        public Tensor sign_() => Operators.sign_.CallOn(this);

        public Tensor isnan() => Operators.isnan.Call(this);

        public Tensor isinf() => Operators.isinf.Call(this);

        public Tensor isfinite() => Operators.isfinite.Call(this);
    }
}
