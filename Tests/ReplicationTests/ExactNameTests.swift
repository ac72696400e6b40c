import Hashing
import TestSupport
import Testing

@testable import Replication

/// Two Unicode forms of one text are two names to every store.
@Suite struct ExactNameTests {
    private static let forms = ["\u{e9}", "e\u{301}"]

    @Test func formsAreToldApart() {
        #expect(Self.forms[0] == Self.forms[1])
        #expect(Set(Self.forms.map { ExactName($0) }).count == 2)
        #expect(Set(Self.forms.map { ModelName($0) }).count == 2)
        #expect(Set(Self.forms.map { EntityKey(.registeredModel, $0) }).count == 2)
        // Marks in another order: of one length, too.
        #expect(ExactName("a\u{323}\u{307}") != ExactName("a\u{307}\u{323}"))
        #expect(ExactName("a") == "a" && ModelName("a") == ModelName("a"))
        #expect(ExactName(Self.forms[0]).spelled != ExactName(Self.forms[1]).spelled)
    }

    @Test func modelsOfBothFormsAreCopied() async throws {
        let fixture = try MirrorFixture()
        for form in Self.forms {
            try await fixture.primary.createRegisteredModel(ModelName(form), description: "\(form.utf8.count)", tags: [])
        }
        #expect(try await fixture.backfill().failures == [])
        for form in Self.forms {
            #expect(try await fixture.secondary.registeredModel(ModelName(form))?.description == "\(form.utf8.count)")
        }
        #expect(try await fixture.verify().differences == [])
    }

    @Test func filesOfBothFormsAreKnownApart() throws {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("state.db"))
        let files = EntityKey(.runArtifacts, "r")
        for form in Self.forms {
            try state.note(ManifestRow(path: form, size: Int64(form.utf8.count), sha256: .of(form.utf8), isSettled: true), of: files)
        }
        let manifest = try state.manifest(of: files)
        #expect(manifest.count == 2 && Self.forms.allSatisfy { manifest[ExactName($0)]?.size == Int64($0.utf8.count) })
        try state.close()
    }
}
