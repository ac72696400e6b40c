import TestSupport
import Testing

@testable import Replication

/// What the state file is asked by whoever watches.
@Suite struct FigureTests {
    @Test func conflictsAreCountedByKind() throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        defer { try? state.close() }
        #expect(try state.conflictCounts() == [:])
        for (number, kind) in [(1, ConflictKind.tag), (2, .tag), (3, .param)] {
            let conflict = Conflict(key: .run(RunID("r\(number)")), field: "x", kind: kind, decision: .park, detail: "")
            #expect(try state.note(conflict, at: 1))
        }
        #expect(try state.conflictCounts() == [.tag: 2, .param: 1])
        #expect(try state.conflictCounts().values.reduce(0, +) == state.conflictCount())
    }

    @Test func theFileHasASize() throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        defer { try? state.close() }
        let before = state.fileBytes
        #expect(before > 4096)
        for number in 0..<200 {
            let conflict = Conflict(
                key: .run(RunID("r\(number)")), field: "x", kind: .tag, decision: .park, detail: String(repeating: "y", count: 1000))
            _ = try state.note(conflict, at: 1)
        }
        #expect(state.fileBytes > before + 200_000)
    }

    /// A visitor may say it: a comparison beside the daemon does.
    @Test func aComparisonIsRemembered() throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        defer { try? state.close() }
        #expect(try state.verifiedAt == nil)
        let visitor = try ReplicationState.visit(path: state.path)
        try visitor.noteVerified(at: 17)
        try visitor.close()
        #expect(try state.verifiedAt == 17)
    }
}
