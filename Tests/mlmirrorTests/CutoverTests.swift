import Foundation
import TestSupport
import Testing

/// A team moves to the secondary while it works.
extension RealServersTests {
    private struct Mode: Decodable {
        struct Switch: Decodable {
            var step: String
            var differences: Int
        }
        var mode: String
        var switches: [Switch]
        var stragglers: Int
    }

    private func mode(_ follower: Follower, _ arguments: [String] = []) async throws -> Mode {
        let state = follower.pair.folder.file("state.db")
        let result = try await RealPair.run(RealPair.binary, ["mode"] + arguments + ["--json", "--state", state])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Mode.self, from: Data(result.output.utf8))
    }

    /// The mode is switched under load, and the daemon killed in every step of it; then people edit at their new home while some still
    /// write to the old one.
    @Test func aTeamMovesUnderLoadAndLosesNothing() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        let (pair, log) = (follower.pair, follower.pair.folder.file("written.jsonl"))
        try follower.start()
        async let writing = pair.python("cutover.py", ["write", pair.primary.url, "--log", log, "--seconds", "45", "--writers", "4"])
        #expect(try await follower.until(within: 60) { (try? await follower.status())?.lag.changes == 0 })
        try await Task.sleep(for: .seconds(3))
        #expect(try await mode(follower).mode == "dual")
        _ = try await mode(follower, ["azureml-only", "--no-wait"])
        var killedIn: Set<String> = []
        #expect(
            try await follower.until(within: 240) {
                let step = try #require(try await mode(follower).switches.first?.step)
                if killedIn.insert(step).inserted { try await follower.kill(times: 1, seed: UInt64(killedIn.count)) }
                return step == "sealed"
            }, "\(follower.log.suffix(3000))")
        #expect(killedIn.isSuperset(of: ["fence", "drain", "sealed"]), "\(killedIn)")
        #expect(try await mode(follower).mode == "azureml-only")

        let edits = try await pair.python("cutover.py", ["edit", pair.secondary.url])
        #expect(edits.status == 0, "\(edits.errors)")
        let written = try await writing
        #expect(written.status == 0, "\(written.output)\(written.errors)")
        // Somebody goes on even then, in runs that people have edited at their new home too.
        let late = try await pair.python("cutover.py", ["write", pair.primary.url, "--log", log, "--seconds", "3", "--writers", "2"])
        #expect(late.status == 0, "\(late.output)\(late.errors)")
        let there = edits.output.trimmingCharacters(in: .whitespacesAndNewlines)
        var found = RealPair.Result(status: 1, output: "", errors: "")
        #expect(
            try await follower.until(within: 120) {
                found = try await pair.python("cutover.py", ["check", pair.secondary.url, "--log", log, "--edits", there])
                return found.status == 0
            }, "\(found.output)\(found.errors)\n\(follower.log.suffix(2000))")
        #expect(try await mode(follower).stragglers > 0)
        #expect(follower.log.contains("somebody still writes to the primary") && follower.log.contains("notebook0.py"))
        #expect(try await follower.doubles() == "")

        // Back again: the primary leads, and what it did meanwhile is there.
        #expect(try await mode(follower, ["dual"]).mode == "dual")
        #expect(try await follower.until(within: 120) { try await follower.status().reconciling == nil })
        let more = try await pair.python("cutover.py", ["write", pair.primary.url, "--log", log, "--seconds", "3", "--writers", "1"])
        #expect(more.status == 0)
        #expect(
            try await follower.until(within: 120) {
                found = try await pair.python("cutover.py", ["check", pair.secondary.url, "--log", log, "--edits", there])
                return found.status == 0
            }, "\(found.output)\(found.errors)")
        try await follower.expectCleanEnd()
    }
}
