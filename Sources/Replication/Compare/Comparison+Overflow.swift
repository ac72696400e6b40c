import Hashing

extension Comparison {
    /// What the secondary's run does not show is in its document, with nothing else: byte for byte what would be written now.
    func compareOverflow(_ overflow: Overflow, _ here: Run, _ there: Run) async throws {
        // Without the marker there may still be one: of a run that has grown smaller.
        let found = try await mirror.retrying {
            try await mirror.documentDigest(Overflow.path, of: ArtifactOwner(.run(there.id), root: there.artifactURI))
        }
        var fields = FieldComparison(.run, here.id.rawValue, there.id.rawValue)
        if overflow.isEmpty, found == nil { return }
        let expected = try await mirror.retrying { try await mirror.digest(of: OverflowDocument(overflow: overflow, run: here.id)) }
        if found == expected {
            if !overflow.isEmpty { tally.converted("runs with an overflow document") }
            for (label, count) in overflow.counts { tally.converted("\(label) in overflow documents", count) }
            return
        }
        let content = overflow.isEmpty ? "nothing" : overflow.summary
        fields.compare(Overflow.path, "\(content), sha256 \(expected.hex)", found.map { "sha256 \($0.hex)" })
        try await tally.note(fields.differences, repair: .run(here.id))
    }
}
