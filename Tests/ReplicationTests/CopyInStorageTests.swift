import TestSupport
import Testing

@testable import Replication

/// A secondary whose storage fetches files from the primary's by itself.
@Suite struct CopyInStorageTests {
    private static let large = [UInt8](repeating: 7, count: (4 << 20) + 1)

    private let fixture: MirrorFixture
    private let run: Run
    private let carried = Locked<[String]>([])

    init() async throws {
        var dialect = Dialect.mlflow
        dialect.fetchesFiles = true
        let secondary = FakeStore(name: "secondary", dialect: dialect)
        secondary.now += 5000
        fixture = try MirrorFixture(secondary: secondary)
        secondary.fetchFiles(of: fixture.primary)
        run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["a.txt": "small"])
        fixture.primary.replace("large.bin", of: .run(run.id), with: Self.large)
        let carried = carried
        fixture.primary.setFault { operation in
            if operation.name == "readArtifact" { carried.withLock { $0.append(operation.target) } }
            return nil
        }
    }

    private func there(_ path: String) throws -> [UInt8]? {
        fixture.secondary.files(of: .run(RunID(try fixture.there(.run, run.id.rawValue))))[path]
    }

    private func filesWritten() -> [String] {
        fixture.secondary.writes.filter { $0.name.hasSuffix("Artifact") }.map { "\($0.name) \($0.target)" }
    }

    private func row(_ path: String) throws -> ManifestRow? {
        try fixture.withState { try $0.manifest(of: EntityKey(.runArtifacts, run.id.rawValue))[ExactName(path)] }
    }

    @Test func aLargeFileIsFetchedAndASmallOneCarried() async throws {
        let summary = try await fixture.backfill()
        #expect(carried.withLock { $0 } == ["a.txt"])
        #expect(try there("large.bin") == Self.large && there("a.txt") == Array("small".utf8))
        let size = Int64(Self.large.count)
        #expect(summary.counts.files == 2 && summary.counts.fileBytes == size + 5 && summary.counts.copiedFileBytes == size)
        // Nobody here has seen its bytes, and nobody says so.
        #expect(try row("large.bin")?.sha256 == nil && row("large.bin")?.tag != nil)
        #expect(try row("a.txt")?.sha256 != nil && row("a.txt")?.tag == nil)
        #expect(try await fixture.verify(deep: true).differences == [])
    }

    @Test func whetherItHasChangedIsToldWithoutItsBytes() async throws {
        try await fixture.backfill()
        carried.withLock { $0 = [] }
        fixture.secondary.forgetWrites()
        try await fixture.backfill { $0.deep = true }
        #expect(!carried.withLock { $0.contains("large.bin") })
        #expect(filesWritten() == [])
        let other = [UInt8](repeating: 8, count: Self.large.count)
        fixture.primary.replace("large.bin", of: .run(run.id), with: other)
        try await fixture.backfill { $0.deep = true }
        #expect(!carried.withLock { $0.contains("large.bin") })
        #expect(filesWritten() == ["copyArtifact large.bin"])
        #expect(try there("large.bin") == other)
    }

    /// Nothing is lost by it, and it is told of.
    @Test func whatStorageRefusesIsCarried() async throws {
        let secondary = FakeStore(name: "secondary", dialect: fixture.secondary.dialect)
        secondary.now += 5000
        let fixture = try MirrorFixture(primary: fixture.primary, secondary: secondary)
        let summary = try await fixture.backfill()
        #expect(summary.counts.files == 2 && summary.counts.copiedFileBytes == 0)
        #expect(carried.withLock { $0.sorted() } == ["a.txt", "large.bin"])
        #expect(fixture.told.withLock { $0.count { $0.contains("copy_refused") && $0.contains("not let in") } } == 1)
        #expect(fixture.said(.copyRefused))
        #expect(try await fixture.verify(deep: true).differences == [])
    }

    /// Where an edit of the secondary stands, edits are told by the digest of what was written.
    @Test(arguments: [ConflictDecision.secondary, .park, nil])
    func whereItMayNotBeItIsCarried(_ decision: ConflictDecision?) async throws {
        let summary = try await fixture.backfill { configuration in
            if let decision { configuration.rules = ConflictRules([.artifact: decision]) } else { configuration.copiesInStorage = false }
        }
        #expect(summary.counts.copiedFileBytes == 0 && carried.withLock { $0.contains("large.bin") })
        #expect(try row("large.bin")?.sha256 != nil)
    }

    /// Fetched under the rule that needs no digest: from then on nobody can say whether it was edited, so it is not written over.
    @Test func anEditThatCannotBeToldIsAConflict() async throws {
        try await fixture.backfill()
        fixture.primary.replace("large.bin", of: .run(run.id), with: [UInt8](repeating: 8, count: Self.large.count))
        let summary = try await fixture.backfill {
            $0.deep = true
            $0.rules = ConflictRules([.artifact: .park])
        }
        #expect(summary.counts.conflicts == 1)
        #expect(try there("large.bin") == Self.large)
    }
}
