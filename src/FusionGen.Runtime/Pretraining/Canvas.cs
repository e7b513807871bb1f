using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionGen.Pretraining;

/// <summary>A frame of float colours that formula-driven images are painted on, and the buffers that painting needs; one per thread.</summary>
internal sealed class Canvas
{
    [ThreadStatic]
    private static Canvas? ofThread;

    private readonly int size;
    private readonly Vector4[] pixels;
    private readonly Vector4[] light;
    private readonly float[] field;
    private Vector3[] points = [];

    private Canvas(int size)
    {
        this.size = size;
        this.pixels = new Vector4[size * size];
        this.light = new Vector4[size * size];
        this.field = new float[size * size];
    }

    public static Canvas OfThread(int size) => ofThread?.size == size ? ofThread : ofThread = new Canvas(size);

    /// <summary>Room for points of a fractal.</summary>
    public Span<Vector3> Points(int count)
    {
        if (this.points.Length < count)
            this.points = new Vector3[count];
        return this.points.AsSpan(0, count);
    }

    /// <summary>Fills the frame: flat, a gradient, noise of one to four octaves, or a grating.</summary>
    public void Ground(SplitMix random, Palette palette)
    {
        this.Texture(random);
        for (var i = 0; i < this.pixels.Length; i++)
            this.pixels[i] = Blend(palette, this.field[i]);
    }

    /// <summary>A soft ellipse or bar that belongs to no class.</summary>
    public void Clutter(SplitMix random, Palette palette)
    {
        var radius = this.size * (0.03f + (0.12f * random.NextSingle()));
        var matrix = Matrix3x2.CreateScale(radius * (1 + (3 * random.NextSingle() * random.NextSingle())), radius) *
            Matrix3x2.CreateRotation(random.NextSingle() * MathF.PI) *
            Matrix3x2.CreateTranslation(random.NextSingle() * this.size, random.NextSingle() * this.size);
        Matrix3x2.Invert(matrix, out var inverse);
        var square = random.Next(2) == 0;
        for (var y = 0; y < this.size; y++)
        {
            for (var x = 0; x < this.size; x++)
            {
                var p = Vector2.Transform(new Vector2(x + 0.5f, y + 0.5f), inverse);
                var distance = square ? MathF.Max(MathF.Abs(p.X), MathF.Abs(p.Y)) : p.Length();
                this.Cover((y * this.size) + x, palette[0], Math.Clamp(((1 - distance) * radius) + 0.5f, 0, 1));
            }
        }
    }

    /// <summary>Paints a fractal as light: points add up, each in the colour of the maps that led to it (as in fractal flames), and dense parts cover.</summary>
    public void Fractal(SplitMix random, ReadOnlySpan<Vector3> shape, Matrix3x2 matrix, Palette palette, int maps)
    {
        Array.Clear(this.light);
        Span<Vector4> colours = stackalloc Vector4[maps];
        var plain = random.Next(4) == 0;
        for (var i = 0; i < maps; i++)
            colours[i] = palette[plain ? 0 : i];
        var memory = plain ? 0 : 0.35f + (0.5f * random.NextSingle());
        var colour = colours[0];
        var limit = this.size - 1;
        foreach (var point in shape)
        {
            colour = Vector4.Lerp(colours[(int)point.Z], colour, memory);
            var p = Vector2.Transform(new Vector2(point.X, point.Y), matrix) - new Vector2(0.5f);
            if (!(p.X >= 0 && p.Y >= 0 && p.X < limit && p.Y < limit))
                continue;
            var x = (int)p.X;
            var y = (int)p.Y;
            var (u, v) = (p.X - x, p.Y - y);
            ref var corner = ref this.light[(y * this.size) + x];
            ref var below = ref this.light[((y + 1) * this.size) + x];
            corner += colour * ((1 - u) * (1 - v));
            Unsafe.Add(ref corner, 1) += colour * (u * (1 - v));
            below += colour * ((1 - u) * v);
            Unsafe.Add(ref below, 1) += colour * (u * v);
        }

        var strength = 0.7f + (1.6f * random.NextSingle());
        for (var i = 0; i < this.light.Length; i++)
        {
            var density = this.light[i].W;
            if (density > 0)
                this.Cover(i, this.light[i] / density, 1 - MathF.Exp(-strength * density));
        }
    }

    /// <summary>Paints an outline's inside: in one colour, textured, hollow, or as rings.</summary>
    public void Contour(SplitMix random, ReadOnlySpan<float> radii, Matrix3x2 matrix, Palette palette, float variety)
    {
        Matrix3x2.Invert(matrix, out var inverse);
        var scale = MathF.Sqrt(MathF.Abs(matrix.GetDeterminant()));
        var style = random.NextSingle() < variety ? random.Next(5) : 0;
        var textured = style is 1 or 2;
        if (textured)
            this.Texture(random);
        var hollow = style == 3 ? 0.45f + (0.4f * random.NextSingle()) : 0;
        var rings = style == 4 ? 2 + random.Next(3) : 1;
        for (var y = 0; y < this.size; y++)
        {
            for (var x = 0; x < this.size; x++)
            {
                var p = Vector2.Transform(new Vector2(x + 0.5f, y + 0.5f), inverse);
                var turn = (MathF.Atan2(p.Y, p.X) / (2 * MathF.PI)) + 1;
                var radius = radii[(int)(turn * RadialContour.Angles) % RadialContour.Angles];
                var part = p.Length() / radius;
                var cover = Edge((1 - part) * radius * scale);
                if (cover <= 0)
                    continue;
                if (hollow > 0)
                    cover *= Edge((part - hollow) * radius * scale);
                var i = (y * this.size) + x;
                var colour = textured ? Blend(palette, this.field[i]) : palette[rings > 1 ? (int)(part * rings) : 0];
                this.Cover(i, colour, cover);
            }
        }

        static float Edge(float distance) => Math.Clamp(distance + 0.5f, 0, 1);
    }

    /// <summary>What a camera does: exposure, contrast, a cast of colour, now and then blur or grain; then 8 bits.</summary>
    public void Develop(SplitMix random, Span<byte> rgb, float variety)
    {
        if (random.NextSingle() < 0.25f * variety)
            this.Blur();
        var gain = new Vector4(1 + (0.25f * variety * random.NextSigned())) + (0.1f * variety * new Vector4(random.NextSigned(), random.NextSigned(), random.NextSigned(), 0));
        var offset = new Vector4(0.1f * variety * random.NextSigned());
        var grain = random.NextSingle() < 0.35f * variety ? 0.12f * random.NextSingle() : 0;
        for (var i = 0; i < this.pixels.Length; i++)
        {
            var colour = (this.pixels[i] * gain) + offset;
            if (grain > 0)
            {
                var bits = random.NextUInt64();
                colour += grain * new Vector4((bits & 0xFFFF) / 65536f, ((bits >> 16) & 0xFFFF) / 65536f, ((bits >> 32) & 0xFFFF) / 65536f, 0) - new Vector4(grain / 2);
            }
            colour = Vector4.Clamp(colour, Vector4.Zero, Vector4.One) * 255 + new Vector4(0.5f);
            rgb[3 * i] = (byte)colour.X;
            rgb[(3 * i) + 1] = (byte)colour.Y;
            rgb[(3 * i) + 2] = (byte)colour.Z;
        }
    }

    private static Vector4 Blend(Palette palette, float value)
    {
        var position = Math.Clamp(value, 0, 0.9999f) * (Palette.Count - 1);
        var i = (int)position;
        return Vector4.Lerp(palette[i], palette[i + 1], position - i);
    }

    private void Cover(int i, Vector4 colour, float alpha) => this.pixels[i] = Vector4.Lerp(this.pixels[i], colour, alpha);

    /// <summary>Fills <see cref="field"/> with values in [0, 1].</summary>
    private void Texture(SplitMix random)
    {
        var kind = random.Next(8);
        if (kind < 2)
        {
            Array.Fill(this.field, random.NextSingle());
            return;
        }
        var direction = random.NextSingle() * 2 * MathF.PI;
        var waves = kind == 7 ? 2 + (8 * random.NextSingle()) : 0;
        var (sin, cos) = MathF.SinCos(direction);
        for (var y = 0; y < this.size; y++)
        {
            for (var x = 0; x < this.size; x++)
            {
                var t = ((((x - (this.size / 2)) * cos) + ((y - (this.size / 2)) * sin)) / this.size * 0.7f) + 0.5f;
                this.field[(y * this.size) + x] = waves > 0 ? 0.5f + (0.5f * MathF.Sin(2 * MathF.PI * waves * t)) : t;
            }
        }
        if (kind < 5 || waves > 0)
            return;
        var octaves = 1 + random.Next(3);
        var cells = 2 + random.Next(4);
        var persistence = 0.4f + (0.4f * random.NextSingle());
        var amplitude = 0.6f;
        Array.Fill(this.field, 0.5f);
        for (var octave = 0; octave < octaves; octave++, cells *= 2, amplitude *= persistence)
            this.Noise(random, cells, amplitude);
    }

    /// <summary>Adds value noise: a grid of random numbers, smoothly interpolated.</summary>
    private void Noise(SplitMix random, int cells, float amplitude)
    {
        var stride = cells + 2;
        var grid = new float[stride * stride];
        foreach (ref var value in grid.AsSpan())
            value = amplitude * random.NextSigned();
        var phase = new Vector2(random.NextSingle(), random.NextSingle());
        for (var y = 0; y < this.size; y++)
        {
            var fy = ((float)y / this.size * cells) + phase.Y;
            var (iy, ty) = ((int)fy, Smooth(fy - (int)fy));
            for (var x = 0; x < this.size; x++)
            {
                var fx = ((float)x / this.size * cells) + phase.X;
                var (ix, tx) = ((int)fx, Smooth(fx - (int)fx));
                var corner = (iy * stride) + ix;
                var top = grid[corner] + (tx * (grid[corner + 1] - grid[corner]));
                var bottom = grid[corner + stride] + (tx * (grid[corner + stride + 1] - grid[corner + stride]));
                this.field[(y * this.size) + x] += top + (ty * (bottom - top));
            }
        }

        static float Smooth(float t) => t * t * (3 - (2 * t));
    }

    /// <summary>A 3×3 binomial filter, borders left.</summary>
    private void Blur()
    {
        for (var pass = 0; pass < 2; pass++)
        {
            var step = pass == 0 ? 1 : this.size;
            Array.Copy(this.pixels, this.light, this.pixels.Length);
            for (var i = step; i < this.pixels.Length - step; i++)
                this.pixels[i] = (0.5f * this.light[i]) + (0.25f * (this.light[i - step] + this.light[i + step]));
        }
    }
}
