import Foundation
import TestSupport
import Testing

@testable import mlmirror

/// What is left out, masked, renamed and of other owners, between two real servers.
extension RealServersTests {
    private static let passage = """
        scope:
          owners: ["!bot-*"]
          leave_out: { tags: ["dbx.*"], params: [internal], artifacts: ["**/*.tmp"] }
          rename: { experiments: { "/Users/**": "people/**" }, models: { churn: churn-prod } }
          mask: { users: pseudonym, tags: { patient: drop }, key_file: mask.key }

        """

    @Test func whatMayNotPassIsNowhereOnTheOtherSide() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        let file = pair.folder.file("passage.yaml")
        try Data(Self.passage.utf8).write(to: URL(fileURLWithPath: file))
        try Data("shibboleth of some length\n".utf8).write(to: URL(fileURLWithPath: pair.folder.file("mask.key")))
        func python(_ step: String) async throws -> String {
            let result = try await pair.python("passage.py", [step, pair.primary.url, pair.secondary.url])
            return result.status == 0 ? "" : result.output + result.errors
        }
        #expect(try await python("make") == "")
        let report = pair.folder.file("report.json")
        let first = try await pair.mlmirror("backfill", ["--config", file, "-vv"])
        #expect(first.status == 0, "\(first.output)\(first.errors)")
        #expect(try await python("judge") == "")
        let verified = try await pair.mlmirror("verify", ["--config", file, "--deep", "--report", report])
        #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
        let again = try await pair.mlmirror("backfill", ["--config", file])
        #expect(again.output.contains("Nothing to do: nothing new on the primary"), "\(again.output)")

        // Byte for byte: in the secondary's data base and files, the state file, the report, and all that was printed.
        var texts = [first.output, first.errors, verified.output, again.output]
        let folder = pair.secondary.folder
        for path in [folder.path, pair.folder.path] {
            for case let url as URL in FileManager.default.enumerator(at: URL(fileURLWithPath: path), includingPropertiesForKeys: nil)
                ?? .init()
            {
                guard url.lastPathComponent != "mask.key", let bytes = try? Data(contentsOf: url) else { continue }
                texts.append(String(decoding: bytes, as: UTF8.self))
            }
        }
        #expect(texts.contains { $0.contains("churn-prod") })
        for word in ["ann.secret", "Smythe-Secret", "shibboleth"] { #expect(!texts.contains { $0.contains(word) }, "\(word)") }

        let check = try await pair.mlmirror("check")
        #expect(
            check.output.contains("scope.leave_out.artifacts, scope.leave_out.params, scope.leave_out.tags, scope.mask.key_file"),
            "\(check.output)")
        #expect(check.output.contains("what went out stays on the secondary and is not followed any more"))
        let whole = try await pair.mlmirror("backfill")
        #expect(whole.status == 0, "\(whole.output)\(whole.errors)")
        #expect(whole.output.contains("conflicts:    1 "), "a param that came as a pseudonym is write-once: \(whole.output)")
        #expect(try await python("whole") == "")
    }
}
