import Hashing

/// Documents of fields that nobody here knows.
extension Mirror {
    func carried(_ fields: [UnknownField]) -> [UnknownField] { configuration.scope.carriesUnknownFields ? fields : [] }

    /// A logged model with what of it is carried.
    func carried(_ model: LoggedModel) -> LoggedModel {
        var model = model
        model.unknown = carried(model.unknown)
        return model
    }

    /// Writes the document of a thing's unknown fields where it is not as it was last written. One that is no longer needed is left, empty:
    /// files of a run cannot be deleted.
    ///
    /// - Parameters:
    ///   - isNew: it was made a moment ago: no document can be there.
    ///   - known: as `writeOverflow` takes it.
    func writeUnknown(
        _ fields: [UnknownField], of key: EntityKey, to owner: ArtifactOwner, isNew: Bool, _ known: inout Identity?, into base: inout Base
    ) async throws {
        let fields = carried(fields)
        let before = known?.base?[.unknown]
        guard !fields.isEmpty || before != nil else { return }
        let bytes = UnknownDocument(key: key, fields: fields).bytes
        let digest = SHA256Digest.of(bytes)
        base[.unknown] = FieldDigest(digest.hex)
        guard before != base[.unknown] else { return }
        if before == nil, !isNew, try await documentDigest(UnknownDocument.path, of: owner) == digest { return }
        if before != nil, var noted = known?.base {
            // Should this attempt not live, the next one must not take the document for what it was.
            noted[.unknown] = nil
            try state.save(noted, of: key.kind, key.id)
            known?.base = noted
        }
        try await secondary.writeArtifact(UnknownDocument.path, size: Int64(bytes.count), to: owner, .once(bytes))
        if !fields.isEmpty { note(conversions: ["unknown_fields: \(fields.count)"], of: key) }
    }
}
