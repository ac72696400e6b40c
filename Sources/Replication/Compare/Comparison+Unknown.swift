import Hashing

/// Documents of unknown fields.
extension Comparison {
    /// Where a thing's document is; nil: it has none.
    func unknownDocument(_ key: EntityKey, _ fields: [UnknownField]) throws -> String? {
        let isWritten = try mirror.state.identity(key.kind, key.id)?.base?[.unknown] != nil
        return isWritten || !mirror.carried(fields).isEmpty ? UnknownDocument.path : nil
    }

    func compareUnknown(_ here: Run, _ there: Run) async throws {
        try await compareUnknown(
            here.unknown, .run(here.id), there.id.rawValue, ArtifactOwner(.run(there.id), root: there.artifactURI))
    }

    /// - Returns: where the document is; nil: the thing has none.
    @discardableResult
    func compareUnknown(_ fields: [UnknownField], _ key: EntityKey, _ secondaryID: String, _ there: ArtifactOwner) async throws -> String? {
        guard let path = try unknownDocument(key, fields) else { return nil }
        let expected = SHA256Digest.of(UnknownDocument(key: key, fields: mirror.carried(fields)).bytes)
        let found = try await mirror.retrying { try await mirror.documentDigest(path, of: there) }
        var comparison = FieldComparison(key.kind, key.id, secondaryID)
        comparison.compare(path, "sha256 \(expected.hex)", found.map { "sha256 \($0.hex)" })
        if comparison.differences.isEmpty { tally.converted("documents of unknown fields") }
        try await tally.note(comparison.differences, repair: key)
        return path
    }
}
