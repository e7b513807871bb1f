using System.Text;
using FusionGen.Compiler.Emit;
using Microsoft.CodeAnalysis.Text;

namespace FusionGen.Generators;

/// <summary>Generated text as the compiler reads it, without a copy.</summary>
internal sealed class CodeText(Code code) : SourceText(checksumAlgorithm: SourceHashAlgorithm.Sha256)
{
    public override Encoding Encoding => Encoding.UTF8;

    public override int Length => code.Length;

    public override char this[int position] => code[position];

    public override void CopyTo(int sourceIndex, char[] destination, int destinationIndex, int count) => code.CopyTo(sourceIndex, destination, destinationIndex, count);
}
