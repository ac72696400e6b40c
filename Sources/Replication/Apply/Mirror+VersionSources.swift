/// Where the files of versions are.
extension Mirror {
    /// What a version comes from, on the secondary.
    struct VersionOrigin: Sendable {
        var map: References.Map
        var roots: [VersionSource.Root] = []
        var places = VersionSource.Places()
        /// The run whose files a logged model's are.
        var holder: RunID?
        /// Logged models that the server writes to when it makes a version of them: it notes the version there in a tag, in its own way.
        var models: [LoggedModelID] = []
    }

    func origin(of version: ModelVersion) async throws -> VersionOrigin {
        var origin = VersionOrigin(map: try counterparts(of: References.find(in: version.tags)))
        let found = References.find(inURI: version.source)
        for run in found.runs.union(version.run.map { [$0] } ?? []).sorted() {
            guard let identity = try state.identity(.run, run.rawValue) else { continue }
            origin.map.runs[run] = RunID(identity.secondaryID)
            origin.places.runs[run] = identity.root
            if let here = try await primary.run(run)?.artifactURI, let root = identity.root {
                origin.roots.append(VersionSource.Root(primary: here, secondary: root))
            }
        }
        for model in found.models.union(version.loggedModel.map { [$0] } ?? []).sorted() {
            guard let identity = try state.identity(.loggedModel, model.rawValue) else { continue }
            origin.places.models[model] = identity.root
            if let folder = ModelFolder(identity) {
                origin.holder = folder.run
            } else {
                origin.map.models[model] = LoggedModelID(identity.secondaryID)
                origin.models.append(model)
            }
            if let here = try await primary.loggedModel(model)?.artifactURI, let root = identity.root {
                origin.roots.append(VersionSource.Root(primary: here, secondary: root))
            }
        }
        return origin
    }

    /// Where a version's files are on the secondary.
    func sourceThere(of version: ModelVersion, _ origin: VersionOrigin) async throws -> VersionSource.Translation {
        guard secondary.dialect.registersOwnFilesOnly else {
            if let other = VersionSource.version(version.source), let there = try await renamedVersion(other) { return there }
            let translation = VersionSource.translate(version.source, origin.map, roots: origin.roots)
            if case .same = translation, shownSource(version) != version.source { return .refused("it names a person, and that is masked") }
            return translation
        }
        // `runs:/RUN/NAME` too leads to the files of the logged model that it was made from.
        if let model = version.loggedModel, let place = origin.places.models[model], version.source.hasPrefix("runs:/") {
            return .translated(place)
        }
        guard let other = VersionSource.version(version.source) else {
            return VersionSource.place(version.source, origin.places, roots: origin.roots)
        }
        guard let there = try state.secondaryID(.registeredModel, other.model.rawValue),
            let version = try await allVersions(secondary, ModelName(there)).first(where: {
                stamp.version(of: other.model, in: $0.tags) == other.number
            })
        else { return .refused("the version that it was made from is not on the secondary") }
        return .translated(version.source)
    }

    /// `models:/NAME/VERSION` of one that has another name there; nil where both sides call it the same, or it is not known.
    private func renamedVersion(_ other: (model: ModelName, number: Int)) async throws -> VersionSource.Translation? {
        guard let there = try state.secondaryID(.registeredModel, other.model.rawValue), there != other.model.rawValue else { return nil }
        let version = try await allVersions(secondary, ModelName(there)).first {
            stamp.version(of: other.model, in: $0.tags) == other.number
        }
        // By the name that it has here it would be somebody else's.
        guard let version else { return .refused("the version that it was made from is not on the secondary") }
        return .translated("models:/\(there)/\(version.number)")
    }

    /// As it may be shown.
    func shownSource(_ version: ModelVersion) -> String { configuration.scope.passage.mask.text(version.source) }
}
