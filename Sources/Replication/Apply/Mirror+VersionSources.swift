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
        /// Of a copy: the version that all began with, where that is no copy.
        var first: ModelVersion?
    }

    /// - Parameter followsCopies: of a copy, also what that comes from which it was made of.
    func origin(of version: ModelVersion, followsCopies: Bool = true) async throws -> VersionOrigin {
        var origin = VersionOrigin(map: try counterparts(of: References.find(in: version.tags)))
        let line = try await followsCopies ? ancestry(of: version) : [version]
        if line.count > 1, let first = line.last, VersionSource.version(first.source) == nil { origin.first = first }
        for one in line { try await add(one, to: &origin) }
        return origin
    }

    /// A version, the one that it was made of (`models:/NAME/VERSION`), what that was made of, and so on, as far as the primary shows them.
    func ancestry(of version: ModelVersion) async throws -> [ModelVersion] {
        var line = [version]
        while line.count < Self.longestLine, let other = VersionSource.version(line[line.count - 1].source),
            !line.contains(where: { $0.model == other.model && $0.number == other.number })
        {
            do {
                guard let next = try await primary.version(of: other.model, other.number) else { break }
                line.append(next)
            } catch let error as StoreError where error.decision == .setAside {
                // Closed to us.
                break
            }
        }
        return line
    }
    private static var longestLine: Int { 16 }

    private func add(_ version: ModelVersion, to origin: inout VersionOrigin) async throws {
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
    }

    func acceptedSource(of version: ModelVersion, _ origin: VersionOrigin) async throws -> String {
        switch try await sourceThere(of: version, origin) {
        case .translated(let uri), .same(let uri): return uri
        case .refused(let why):
            throw SetAside(reason: "source_refused", message: "its source \"\(shownSource(version))\" is not forwarded: \(why)")
        }
    }

    /// Where a version's files are on the secondary.
    func sourceThere(of version: ModelVersion, _ origin: VersionOrigin) async throws -> VersionSource.Translation {
        guard let other = VersionSource.version(version.source) else { return placeThere(of: version, origin) }
        guard let there = try await copy(of: other) else {
            // Its model is out of scope, or it was set aside: the files are those of the version that all began with.
            return origin.first.map { placeThere(of: $0, origin) } ?? .refused("the version that it was made from is not on the secondary")
        }
        if secondary.dialect.registersOwnFilesOnly { return .translated(there.source) }
        let source = "models:/\(there.model.rawValue)/\(there.number)"
        if source == version.source, shownSource(version) != source { return .refused(Self.namesPerson) }
        return .translated(source)
    }
    private static var namesPerson: String { "it names a person, and that is masked" }

    /// Of one that is no copy of another.
    private func placeThere(of version: ModelVersion, _ origin: VersionOrigin) -> VersionSource.Translation {
        guard secondary.dialect.registersOwnFilesOnly else {
            let translation = VersionSource.translate(version.source, origin.map, roots: origin.roots)
            if case .same = translation, shownSource(version) != version.source { return .refused(Self.namesPerson) }
            return translation
        }
        // `runs:/RUN/NAME` too leads to the files of the logged model that it was made from.
        if let model = version.loggedModel, let place = origin.places.models[model], version.source.hasPrefix("runs:/") {
            return .translated(place)
        }
        return VersionSource.place(version.source, origin.places, roots: origin.roots)
    }

    /// Nil when it is not on the secondary: by the name and number that it has here it would be somebody else's.
    private func copy(of other: (model: ModelName, number: Int)) async throws -> ModelVersion? {
        guard let there = try state.secondaryID(.registeredModel, other.model.rawValue) else { return nil }
        func isCopy(_ version: ModelVersion) -> Bool { stamp.version(of: other.model, in: version.tags) == other.number }
        // Mostly, numbers are kept.
        if let same = try await secondary.version(of: ModelName(there), other.number), isCopy(same) { return same }
        return try await allVersions(secondary, ModelName(there)).first(where: isCopy)
    }

    /// As it may be shown.
    func shownSource(_ version: ModelVersion) -> String { configuration.scope.passage.mask.text(version.source) }
}
