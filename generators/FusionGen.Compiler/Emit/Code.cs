namespace FusionGen.Compiler.Emit;

/// <summary>
/// Generated text, in pieces: a string of a whole spec's would lie on the heap of large objects, which is collected with everything else only,
/// so that a build would mostly collect.
/// </summary>
public sealed class Code : IEquatable<Code>
{
    private readonly ArraySegment<char>[] pieces;

    internal Code(IEnumerable<ArraySegment<char>> pieces)
    {
        this.pieces = [.. pieces];
        foreach (var piece in this.pieces)
            this.Length += piece.Count;
    }

    /// <summary>Characters.</summary>
    public int Length { get; }

    internal IReadOnlyList<ArraySegment<char>> Pieces => this.pieces;

    /// <summary>A character.</summary>
    public char this[int position]
    {
        get
        {
            foreach (var piece in this.pieces)
            {
                if (position < piece.Count)
                    return piece.Array![piece.Offset + position];
                position -= piece.Count;
            }
            throw new ArgumentOutOfRangeException(nameof(position));
        }
    }

    /// <summary>Texts after each other.</summary>
    public static Code Join(IEnumerable<Code> parts) => new(parts.SelectMany(part => part.pieces));

    /// <summary>Copies a part.</summary>
    public void CopyTo(int start, char[] target, int place, int count)
    {
        foreach (var piece in this.pieces)
        {
            if (count == 0)
                return;
            var length = Math.Min(piece.Count - start, count);
            if (length > 0)
            {
                Array.Copy(piece.Array!, piece.Offset + start, target, place, length);
                (start, place, count) = (0, place + length, count - length);
            }
            else
            {
                start -= piece.Count;
            }
        }
    }

    /// <inheritdoc/>
    public bool Equals(Code? other)
    {
        if (other is null || other.Length != this.Length)
            return false;
        var (mine, its) = (0, 0);
        var (at, place) = (0, 0);
        for (var left = this.Length; left > 0;)
        {
            var (a, b) = (this.pieces[mine], other.pieces[its]);
            var count = Math.Min(a.Count - at, b.Count - place);
            // A network's text may be shared.
            var isSame = a.Array == b.Array && a.Offset + at == b.Offset + place;
            for (var i = 0; i < count && !isSame; i++)
            {
                if (a.Array![a.Offset + at + i] != b.Array![b.Offset + place + i])
                    return false;
            }
            (left, at, place) = (left - count, at + count, place + count);
            if (at == a.Count)
                (mine, at) = (mine + 1, 0);
            if (place == b.Count)
                (its, place) = (its + 1, 0);
        }
        return true;
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Code other && this.Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => this.Length;

    /// <inheritdoc/>
    public override string ToString() => string.Concat(this.pieces.Select(piece => new string(piece.Array!, piece.Offset, piece.Count)));
}
