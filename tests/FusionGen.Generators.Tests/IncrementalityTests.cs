using System.Reflection;

namespace FusionGen.Generators.Tests;

/// <summary>One edit, one file: what runs again, and what does not.</summary>
internal sealed class IncrementalityTests
{
    private static readonly string[] Steps = [.. typeof(TrackingNames).GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic).Select(f => (string)f.GetValue(null)!)];

    [Test]
    public void The_first_run_runs_every_step()
    {
        var run = Three().Run();
        foreach (var step in Steps.Where(s => s != TrackingNames.Diagnostics))
            Assert.That(run.Reasons(step), Is.EqualTo("New 3"), step);
        Assert.That(run.Diagnostics, Is.Empty);
    }

    [Test]
    public void A_comment_reads_one_file_and_emits_nothing()
    {
        var project = Three();
        var before = project.Run();
        var run = project.Edit("specs/b.fusion.yaml", "# small enough", "# a comment\n# small enough").Run();
        Assert.Multiple(() =>
        {
            Assert.That(run.Reasons(TrackingNames.Parse), Is.EqualTo("Modified 1, Cached 2"));
            Assert.That(run.Reasons(TrackingNames.Join), Is.AnyOf("Unchanged 1, Cached 2", "Cached 3"));
            Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Cached 3"));
            Assert.That(run.Reasons(TrackingNames.Plan), Is.EqualTo("Cached 3"));
            Assert.That(run.FreshOutputs, Is.Zero);
            Assert.That(run.Sources, Is.EqualTo(before.Sources));
        });
    }

    [Test]
    public void A_new_value_compiles_one_spec()
    {
        var project = Three();
        var before = project.Run();
        var run = project.Edit("specs/b.fusion.yaml", "classes: 3", "classes: 4").Run();
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Modified 1, Cached 2"));
        Assert.That(run.Reasons(TrackingNames.Plan), Is.EqualTo("Modified 1, Cached 2"));
        Assert.That(run.Sources.Keys, Is.EqualTo(before.Sources.Keys));
        Assert.That(run.Sources.Where(s => before.Sources[s.Key] != s.Value).Select(s => s.Key), Has.All.Contain("App.B."));
    }

    [Test]
    public void A_new_name_renames_the_types_of_one_spec()
    {
        var project = Three();
        project.Run();
        var run = project.Edit("specs/b.fusion.yaml", "model: B", "model: Renamed").Run();
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Modified 1, Cached 2"));
        Assert.That(run.Sources.Keys, Has.None.Contain("App.B.").And.Some.Contain("App.Renamed."));
    }

    [Test]
    public void A_deleted_spec_takes_its_types_along()
    {
        var project = Three();
        project.Run();
        var run = project.Delete("specs/b.fusion.yaml").Run();
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Cached 2, Removed 1"));
        Assert.That(run.Sources.Keys, Has.None.Contain("App.B."));
    }

    [Test]
    public void A_new_spec_brings_its_types()
    {
        var project = Three();
        project.Run();
        var run = project.Write("specs/d.fusion.yaml", Specs.Named("D")).Run();
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("New 1, Cached 3"));
        Assert.That(run.Sources.Keys, Has.Some.Contain("App.D."));
    }

    [Test]
    public void Whatever_was_edited_the_result_is_that_of_a_fresh_build()
    {
        var random = new Random(7);
        // Without step tracking: with it, Roslyn loses entries of a Combine after a deletion (RecordStepsForCachedTable walks past placeholders).
        var project = new Harness(isTracked: false);
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < 30; i++)
        {
            var name = "abcd"[random.Next(4)].ToString();
            var (spec, policy) = ($"specs/{name}.fusion.yaml", $"specs/{name}.policy.yaml");
            switch (random.Next(6))
            {
                case 0 when texts.Remove(spec):
                    project.Delete(spec);
                    break;
                case 1 when texts.Remove(policy):
                    project.Delete(policy);
                    break;
                case 2:
                    project.Write(policy, texts[policy] = Specs.Policy(Specs.Named(name.ToUpperInvariant()), "add", random.Next(3) == 0 ? "afine" : "affine"));
                    break;
                case 3:
                    project.Write(spec, texts[spec] = Specs.Named(random.Next(2) == 0 ? "Same" : name.ToUpperInvariant()));
                    break;
                case 4:
                    project.Write(spec, texts[spec] = $"# {i}\n" + Specs.Named(name.ToUpperInvariant()).Replace("classes: 3", "clases: 3", StringComparison.Ordinal));
                    break;
                default:
                    project.Write(spec, texts[spec] = $"# {i}\n" + Specs.Named(name.ToUpperInvariant()));
                    break;
            }

            var (edited, fresh) = (project.Run(), new Harness([.. texts.Select(t => (t.Key, t.Value))]).Run());
            Assert.That(edited.Sources.OrderBy(s => s.Key, StringComparer.Ordinal), Is.EqualTo(fresh.Sources.OrderBy(s => s.Key, StringComparer.Ordinal)), $"after edit {i}");
            Assert.That(edited.Diagnostics, Is.EqualTo(fresh.Diagnostics), $"after edit {i}");
        }
    }

    [Test]
    public void A_policy_compiles_the_model_of_its_spec_and_no_other()
    {
        var project = Three();
        Assert.That(project.Run().Sources.Values, Has.None.Contain("class AModel"));
        var run = project.Write("specs/a.policy.yaml", Specs.Policy(Specs.Named("A"), "add", "affine")).Run();
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Modified 1, Cached 2"));
        Assert.That(run.Sources.Where(source => source.Value.Contains("Model :", StringComparison.Ordinal)).Select(source => source.Key), Is.EqualTo(new[] { "App.A.g.cs" }));

        var other = project.Edit("specs/a.policy.yaml", "- affine", "- add").Run();
        Assert.That(other.Reasons(TrackingNames.Lower), Is.EqualTo("Modified 1, Cached 2"));
        Assert.That(Class(other, "AModel"), Is.Not.EqualTo(Class(run, "AModel")));
        Assert.That(Class(other, "ASupernet"), Is.EqualTo(Class(run, "ASupernet")));

        var commented = project.Write("specs/a.policy.yaml", "# found\n" + Specs.Policy(Specs.Named("A"), "add", "add")).Run();
        Assert.That(commented.Reasons(TrackingNames.Lower), Is.EqualTo("Cached 3"));
        Assert.That(project.Delete("specs/a.policy.yaml").Run().Sources.Values, Has.None.Contain("class AModel"));

        static string Class(GeneratorRun run, string name) => run.Compilation.GetTypeByMetadataName("App." + name)!.DeclaringSyntaxReferences.Single().GetSyntax().ToString();
    }

    [Test]
    public void A_csharp_edit_and_new_options_do_nothing()
    {
        var project = Three();
        project.Run();
        foreach (var run in new[] { project.AddCode("class C;").Run(), project.RenewOptions().Run() })
        {
            foreach (var step in Steps.Where(s => s is not (TrackingNames.Diagnostics or TrackingNames.Bind)))
                Assert.That(run.Reasons(step), Is.EqualTo("Cached 3"), step);
            Assert.That(run.Reasons(TrackingNames.Bind), Is.AnyOf("Cached 3", "Unchanged 3"));
            Assert.That(run.FreshOutputs, Is.Zero);
        }
    }

    [Test]
    public void An_error_in_one_file_leaves_the_others_alone_and_gives_way_when_mended()
    {
        var project = Three();
        var before = project.Run();
        var run = project.Edit("specs/b.fusion.yaml", "classes: 3", "classes: [").Run();
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Modified 1, Cached 2"));
        Assert.That(run.Sources.Keys.Where(k => !k.Contains("App.B.", StringComparison.Ordinal)), Is.EqualTo(before.Sources.Keys.Where(k => !k.Contains("App.B.", StringComparison.Ordinal))));
        Assert.That(run.Diagnostics, Has.Count.EqualTo(1));
        run = project.Edit("specs/b.fusion.yaml", "classes: [", "classes: 3").Run();
        Assert.That(run.Diagnostics, Is.Empty);
        Assert.That(run.Sources, Is.EqualTo(before.Sources));
    }

    [Test]
    public void The_order_of_the_files_does_not_matter()
    {
        var forward = new Harness(("specs/a.fusion.yaml", Specs.Named("A")), ("specs/b.fusion.yaml", Specs.Named("B"))).Run();
        var backward = new Harness(("specs/b.fusion.yaml", Specs.Named("B")), ("specs/a.fusion.yaml", Specs.Named("A"))).Run();
        Assert.That(forward.Sources.OrderBy(s => s.Key, StringComparer.Ordinal), Is.EqualTo(backward.Sources.OrderBy(s => s.Key, StringComparer.Ordinal)));
    }

    [Test]
    public void Specs_that_are_compiled_side_by_side_come_out_as_alone()
    {
        var all = Enumerable.Range(0, 24).Select(i => ($"specs/s{i}.fusion.yaml", Specs.Named($"S{i}").Replace("classes: 3", $"classes: {3 + i}", StringComparison.Ordinal))).ToArray();
        var together = new Harness(all).Run();
        Assert.That(together.Sources, Has.Count.EqualTo(all.Length));
        foreach (var spec in all)
            Assert.That(new Harness(spec).Run().Sources, Is.SubsetOf(together.Sources));
    }

    private static Harness Three() => new(
        ("specs/a.fusion.yaml", Specs.Named("A")), ("specs/b.fusion.yaml", Specs.Named("B")), ("specs/c.fusion.yaml", Specs.Named("C")), ("other/x.yaml", "model: [not ours"));
}
