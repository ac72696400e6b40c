import Replication
import Testing

@Suite struct PlanTests {
    private let run = "0123456789abcdef0123456789abcdef"
    private let there = "fedcba9876543210fedcba9876543210"
    private var map: References.Map {
        References.Map(runs: [RunID(run): RunID(there)], models: [LoggedModelID("m-\(run)"): LoggedModelID("m-\(there)")])
    }

    @Test func idsAreRewrittenWhereTheyStandForTheThing() {
        func rewritten(_ key: String, _ value: String) -> String { References.rewrite(Tag(key, value), map).value }
        #expect(rewritten("mlflow.parentRunId", run) == there)
        #expect(rewritten("any", "runs:/\(run)/model") == "runs:/\(there)/model")
        #expect(rewritten("any", "see runs:/\(run), models:/m-\(run)") == "see runs:/\(there), models:/m-\(there)")
        #expect(rewritten("mlflow.log-model.history", "[{\"run_id\": \"\(run)\"}]") == "[{\"run_id\": \"\(there)\"}]")
        // What only looks like an id is left alone.
        #expect(rewritten("any", run) == run)
        #expect(rewritten("any", "sha: \(run)") == "sha: \(run)")
        #expect(rewritten("any", "runs:/\(run)0/x") == "runs:/\(run)0/x")
    }

    @Test func sourcesAreTranslatedOrRefused() {
        let roots = [
            VersionSource.Root(primary: "mlflow-artifacts:/1/\(run)/artifacts", secondary: "mlflow-artifacts:/7/\(there)/artifacts")
        ]
        func translated(_ source: String) -> VersionSource.Translation { VersionSource.translate(source, map, roots: roots) }
        #expect(translated("runs:/\(run)/model") == .translated("runs:/\(there)/model"))
        #expect(translated("models:/m-\(run)") == .translated("models:/m-\(there)"))
        #expect(translated("mlflow-artifacts:/1/\(run)/artifacts/m") == .translated("mlflow-artifacts:/7/\(there)/artifacts/m"))
        #expect(translated("models:/net/3") == .same("models:/net/3"))
        #expect(translated("s3://bucket/model") == .same("s3://bucket/model"))
        for hostile in [
            "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/latest", "s3://bucket/../x", "s3://user@bucket/x",
            "s3://bucket/x?y=1",
            "mlflow-artifacts:/1/\(run)/artifacts/../../secret", "mlflow-artifacts:/2/other", "", "runs:/\(there)/model",
        ] {
            guard case .refused = translated(hostile) else {
                Issue.record("not refused: \(hostile)")
                continue
            }
        }
    }

    @Test(arguments: [
        ("/Shared/**", "/Shared/a/b", true), ("/Shared/*", "/Shared/a/b", false), ("/Shared/*", "/Shared/a", true),
        ("prod.*", "prod.net", true),
        ("a?c", "abc", true), ("a?c", "a/c", false), ("!x", "y", true), ("!x", "x", false), ("**", "", true),
        ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
    ]) func patternsMatch(_ pattern: String, _ name: String, _ matches: Bool) {
        #expect(PatternList([pattern]).matches(name) == matches)
    }

    @Test func theLastPatternThatMatchesDecides() {
        let list = PatternList(["/Shared/**", "!/Shared/scratch/**", "/Shared/scratch/keep"])
        #expect(
            list.matches("/Shared/a") && !list.matches("/Shared/scratch/b") && list.matches("/Shared/scratch/keep")
                && !list.matches("/Users/a"))
    }

    @Test func hostileFileNamesAreRefused() {
        for path in ["..", "a/../b", "/etc/passwd", "a//b", "a\\b", "a\u{0}b", "", "a/.", "./a"] {
            #expect(ArtifactPath.refusal(path) != nil)
        }
        for path in ["a", "a b/ü", "100%", "a+b", "..a", "a..b/c"] { #expect(ArtifactPath.refusal(path) == nil) }
    }

    @Test func batchesKeepToEveryLimit() {
        let dialect = Dialect.mlflow
        var builder = BatchBuilder(dialect)
        var batches: [RunBatch] = []
        for number in 0..<250 {
            if let full = builder.add(Param("p\(number)", String(repeating: "\n", count: 6000))) { batches.append(full) }
        }
        for number in 0..<150 { if let full = builder.add(Tag("t\(number)", String(repeating: "t", count: 8000))) { batches.append(full) } }
        for number in 0..<2500 {
            let row = MetricRow(key: "m", point: MetricPoint(value: Double(number), timestamp: 1, step: Int64(number)))
            if let full = builder.add(row) { batches.append(full) }
        }
        if let rest = builder.finish() { batches.append(rest) }
        #expect(batches.reduce(0) { $0 + $1.count } == 2900)
        #expect(batches.flatMap(\.metrics).map(\.point.step) == (0..<2500).map { Int64($0) })
        for batch in batches {
            #expect(batch.params.count <= 100 && batch.tags.count <= 100 && batch.count <= 1000)
            // A line feed is two characters in JSON, six at the most.
            #expect(batch.params.reduce(0) { $0 + $1.value.count * 2 } + batch.tags.reduce(0) { $0 + $1.value.count } < 1_000_000)
        }
    }
}
