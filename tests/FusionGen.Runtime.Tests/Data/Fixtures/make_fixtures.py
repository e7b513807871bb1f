"""Makes the image files of this folder and, beside each, what Pillow decodes or resizes them to (raw RGB bytes).
Needs Pillow and numpy; run in this folder. Made with Pillow 9.4.0."""
import io
import struct
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 33, 21
rng = np.random.default_rng(1)


def photo(width, height):
    """Edges, gradients and noise: something every part of a codec has to work on."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin(x / 3.0 + y / 5.0)], -1)
    image[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2] = [250, 40, 10]
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def expect(name, image):
    open(name + ".rgb", "wb").write(image.convert("RGB").tobytes())


def save(name, image, **options):
    image.save(name, **options)
    expect(name, Image.open(name))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=b"", interlace=0):
    """A PNG of filter-0 rows, for what Pillow cannot write."""
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
            + extra + chunk(b"IDAT", data) + chunk(b"IEND", b""))


base = photo(WIDTH, HEIGHT)
rgb = Image.fromarray(base)
save("444.jpg", rgb, quality=90, subsampling=0)
save("420.jpg", rgb, quality=75, subsampling=2)
save("progressive.jpg", rgb, quality=80, progressive=True)
save("grey.jpg", rgb.convert("L"), quality=85)
save("cmyk.jpg", Image.fromarray(np.dstack([base, 255 - base[..., :1]]), "CMYK"), quality=95)
exif = Image.Exif()
exif[0x0112] = 6  # rotate by a quarter turn: not followed
save("turned.jpg", rgb, quality=90, exif=exif)

save("rgb.png", rgb)
alpha = np.dstack([base, rng.integers(0, 256, base.shape[:2], np.uint8)])
save("alpha.png", Image.fromarray(alpha, "RGBA"))
save("grey.png", rgb.convert("L"))
save("grey-alpha.png", Image.fromarray(alpha[..., 2:], "LA"))
save("bits.png", rgb.convert("1"))
save("palette.png", rgb.quantize(23))
save("palette-transparent.png", rgb.quantize(7), transparency=bytes([0, 128, 255]))

# Interlaced by hand (Adam7).
passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
rows = [base[y, x0::dx].tobytes() for x0, y0, dx, dy in passes for y in range(y0, HEIGHT, dy) if base[y, x0::dx].size]
open("interlaced.png", "wb").write(png(WIDTH, HEIGHT, 8, 2, rows, interlace=1))
expect("interlaced.png", Image.open("interlaced.png"))
# A gamma chunk, which Pillow does not act on.
open("gamma.png", "wb").write(png(WIDTH, HEIGHT, 8, 2, [row.tobytes() for row in base], extra=chunk(b"gAMA", struct.pack(">I", 100000))))
expect("gamma.png", Image.open("gamma.png"))
# 16 bits: what is expected is value·255/65535, rounded (Pillow truncates colours and clips greys).
wide = (base.astype(np.uint32) * 257 + rng.integers(-100, 100, base.shape)).clip(0, 65535).astype(np.uint16)
open("rgb16.png", "wb").write(png(WIDTH, HEIGHT, 16, 2, [row.astype(">u2").tobytes() for row in wide]))
expect("rgb16.png", Image.fromarray(np.rint(wide / 257).astype(np.uint8)))
open("grey16.png", "wb").write(png(WIDTH, HEIGHT, 16, 0, [row.astype(">u2").tobytes() for row in wide[..., 0]]))
expect("grey16.png", Image.fromarray(np.rint(wide[..., 0] / 257).astype(np.uint8)))

# Resizing: enlarged, reduced, one side only, both ways at once.
for name, method in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
    for width, height in ((64, 64), (20, 13), (33, 40), (7, 21), (5, 50), (1, 1)):
        expect(f"{name}-{width}x{height}", Image.open("rgb.png").resize((width, height), method))

# torchvision's Resize(73) (bicubic, shorter side; the longer is truncated) and CenterCrop(64), on Pillow images.
resized = Image.open("rgb.png").resize((int(73 * WIDTH / HEIGHT), 73), Image.BICUBIC)
left, top = int(round((resized.width - 64) / 2.0)), int(round((resized.height - 64) / 2.0))
expect("pfd-64", resized.crop((left, top, left + 64, top + 64)))
resized = Image.open("rgb.png").resize((int(73 * WIDTH / HEIGHT), 73), Image.BILINEAR)
expect("vpt-fgvc-64", resized.crop((left, top, left + 64, top + 64)))
