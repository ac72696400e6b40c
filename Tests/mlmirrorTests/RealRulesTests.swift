import Foundation
import TestSupport
import Testing

@testable import mlmirror

/// Conflicts between two real servers, made with the real client, under every rule at once: names say which one is meant.
extension RealServersTests {
    private static let rules = """
        rules:
          experiments:
            "/primary/**": { tag: primary, description: primary, run_name: primary, run_status: primary, artifact: primary, experiment_name: primary }
            "/secondary/**":
              { tag: secondary, description: secondary, run_name: secondary, run_status: secondary, artifact: secondary, experiment_name: secondary, param: secondary }
            "/park/**": { tag: park, description: park, run_name: park, run_status: park, artifact: park, experiment_name: park, param: park }
            "/respect/**": { deleted_on_secondary: respect, deleted_on_primary: replicate }
            "/restore/**": { deleted_on_secondary: restore, deleted_on_primary: keep }
            "/taken/adopt": { name_taken: adopt }
            "/taken/rename": { name_taken: rename }
            "/taken/park": { name_taken: park }
            "/other/park": { name_of_another_pair: park }
          models:
            "secondary.*": { tag: secondary, description: secondary, alias: secondary, stage: secondary }
            "park.*": { tag: park, description: park, alias: park, stage: park }
            "respect.*": { deleted_on_primary: replicate }
            "restore.*": { deleted_on_primary: keep }
            "taken.rename": { name_taken: rename }
            "taken.park": { name_taken: park }
            "other.park": { name_of_another_pair: park }
            "number.renumber": { version_number: renumber }
            "number.park": { version_number: park }

        """

    /// What people decide of what then still stands, each the other way than its rule.
    private static let decisions = [
        "name_taken": "rename", "name_of_another_pair": "rename", "description": "primary", "experiment_name": "primary",
        "run_name": "primary", "run_status": "primary", "alias": "primary", "stage": "primary", "artifact": "primary", "param": "secondary",
        "deleted_on_secondary": "restore", "deleted_on_primary": "replicate", "version_number": "fill",
    ]

    @Test func conflictsAreDecidedAsTheRulesSay() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        let file = pair.folder.file("rules.yaml")
        try Data(Self.rules.utf8).write(to: URL(fileURLWithPath: file))
        func python(_ step: String) async throws {
            let result = try await pair.python("conflicts.py", [step, pair.primary.url, pair.secondary.url])
            #expect(result.status == 0, "\(step): \(result.output)\(result.errors)")
        }
        func backfill(isParked: Bool = true) async throws -> [String: Any] {
            let result = try await pair.mlmirror("backfill", ["--config", file, "--json", "--quiet"])
            #expect(result.status == (isParked ? 3 : 0), "four names and a number are parked, or decided: \(result.output)\(result.errors)")
            return try #require(FolderMaker.object(result.output))
        }
        try await python("make")
        _ = try await backfill()
        try await python("edit")
        let second = try await backfill()
        #expect((second["conflicts"] as? Int ?? 0) > 30, "\(second)")
        try await python("judge")

        let again = try await backfill()
        #expect(again["wrote_nothing"] as? Bool == true && again["conflicts"] as? Int == 0, "\(again)")
        try await python("judge")

        let verified = try await pair.mlmirror("verify", ["--config", file, "--deep", "--json"])
        #expect(verified.status == 4)
        let report = try #require(FolderMaker.object(verified.output))
        let accepted = try #require((report["summary"] as? [String: Any])?["accepted"] as? [String: Int])
        for kind in [
            "tag", "description", "run_name", "run_status", "param", "alias", "stage", "artifact", "experiment_name", "version_number",
            "deleted_on_primary", "deleted_on_secondary",
        ] { #expect(accepted[kind, default: 0] > 0, "\(kind): \(accepted)") }

        func conflicts(_ arguments: [String]) async throws -> RealPair.Result {
            try await RealPair.run(RealPair.binary, ["conflicts"] + arguments + ["--state", pair.folder.file("state.db")])
        }
        let impossible = try await conflicts(["resolve", "--all", "--kind", "param", "--decision", "primary"])
        #expect(impossible.status == 78 && impossible.errors.contains("expected one of park, secondary"), "\(impossible.errors)")
        let resolved = try await conflicts(["resolve", "--all", "--kind", "tag", "--decision", "primary"])
        #expect(resolved.status == 0, "\(resolved.errors)")
        _ = try await backfill()
        try await python("resolved")
        #expect(try await backfill()["wrote_nothing"] as? Bool == true)

        for (kind, decision) in Self.decisions {
            let resolved = try await conflicts(["resolve", "--all", "--kind", kind, "--decision", decision])
            #expect(resolved.status == 0, "\(kind): \(resolved.output)\(resolved.errors)")
        }
        _ = try await backfill(isParked: false)
        try await python("decided")
        #expect(try await backfill(isParked: false)["wrote_nothing"] as? Bool == true)
        let equal = try await pair.mlmirror("verify", ["--config", file, "--deep"])
        #expect(equal.status == 0, "\(equal.output)\(equal.errors)")
    }
}
