extension Comparison {
    // MARK: Logged models

    func compareLoggedModels(_ experiments: [ExperimentID]) async throws {
        var groups = Array(experiments.chunks(of: min(50, mirror.primary.dialect.experimentsPerSearch)).reversed())
        while let group = groups.popLast() {
            var hasBegun = false
            var listed: Set<LoggedModelID> = []
            do {
                try await mirror.retrying.pages({ try await mirror.primary.loggedModels(in: group, $0) }) { page in
                    hasBegun = true
                    for bad in page.undecodable {
                        try await tally.unreadable(.loggedModel, bad.id ?? "?", bad.reason)
                        if let id = bad.id { listed.insert(LoggedModelID(id)) }
                    }
                    listed.formUnion(page.elements.map(\.id))
                    for model in page.elements where mirror.configuration.scope.contains(model) {
                        tally.compared("logged models")
                        try await compare(model)
                    }
                }
                try await compareLeftLoggedModels(in: group, besides: listed)
            } catch let error as StoreError where !hasBegun && (group.count > 1 ? error.mayBeOfOneAmongMany : error.isClosed) {
                if group.count > 1 { groups += group.halves.reversed() } else { try await unreadable(group, error) }
            }
        }
    }

    func compare(_ here: LoggedModel) async throws {
        let key = EntityKey.loggedModel(here.id)
        if let folder = try mirror.state.identity(.loggedModel, here.id.rawValue).flatMap({ ModelFolder($0) }) {
            return try await compare(here, folder)
        }
        guard let id = try mirror.state.secondaryID(.loggedModel, here.id.rawValue),
            let there = try await mirror.retrying({ try await mirror.secondary.loggedModel(LoggedModelID(id)) })
        else {
            return try await tally.note([missing(.loggedModel, here.id.rawValue, here.name)], repair: key)
        }
        var found = References.find(in: here.tags)
        found.runs.formUnion(here.metrics.map(\.run))
        if let run = here.sourceRun { found.runs.insert(run) }
        let map = try mirror.state.counterparts(of: found)
        var fields = FieldComparison(.loggedModel, here.id.rawValue, there.id.rawValue)
        fields.compare("name", here.name, there.name)
        fields.compare("type", here.modelType ?? "", there.modelType ?? "")
        fields.compare("status", here.status.rawValue, there.status.rawValue)
        fields.compare("source_run", here.sourceRun.flatMap { map.runs[$0]?.rawValue }, there.sourceRun?.rawValue)
        let tags = RunImage.rewritten(here.tags, map) + mirror.stamp.tags(key)
        fields.compare("tag:", RunComparison.dictionary(tags), RunComparison.dictionary(mirror.followed(there.tags)))
        fields.compare(
            "param:", RunComparison.dictionary(here.params.map { Tag($0.key, $0.value) }),
            RunComparison.dictionary(mirror.followed(there.params).map { Tag($0.key, $0.value) }))
        fields.compare("metrics:", metrics(here.metrics) { map.runs[$0] }, metrics(there.metrics) { $0 })
        try await note(fields.differences, repair: key, in: .experiment(here.experiment))
        let filesThere = ArtifactOwner(.loggedModel(there.id), root: there.artifactURI)
        let document = try await compareUnknown(here.unknown, key, there.id.rawValue, filesThere)
        if mirror.configuration.scope.artifacts {
            try await compareFiles(
                EntityKey(.loggedModelArtifacts, here.id.rawValue), ArtifactOwner(.loggedModel(here.id), root: here.artifactURI),
                filesThere, besides: document, ruledBy: .experiment(here.experiment))
        }
    }

    private func compare(_ here: LoggedModel, _ folder: ModelFolder) async throws {
        let key = EntityKey.loggedModel(here.id)
        var fields = FieldComparison(.loggedModel, here.id.rawValue, folder.id)
        let found = try await mirror.retrying { try await mirror.modelDocument(here.id, folder) }
        fields.compare(
            ModelFolder.documentPath(here.id), ModelDocument(model: mirror.carried(here), folder: folder.name).text,
            found.map { String(decoding: $0, as: UTF8.self) })
        tally.converted("logged models as files of their runs")
        try await tally.note(fields.differences, repair: key)
        guard mirror.configuration.scope.artifacts else { return }
        try await compareFiles(
            EntityKey(.loggedModelArtifacts, here.id.rawValue), ArtifactOwner(.loggedModel(here.id), root: here.artifactURI), folder.owner,
            in: folder.name, ruledBy: .experiment(here.experiment))
    }

    private func metrics(_ metrics: [ModelMetric], _ run: (RunID) -> RunID?) -> [String: String] {
        var counts: [String: Int] = [:]
        for metric in metrics {
            let name =
                "\(metric.key) of \(run(metric.run)?.rawValue ?? "?") on \(metric.datasetName ?? "-")/\(metric.datasetDigest ?? "-"): \(RunComparison.text(metric.point))"
            counts[name, default: 0] += 1
        }
        return counts.mapValues { "\($0)" }
    }

    // MARK: Registry

    func compareRegisteredModels() async throws {
        var listed: Set<ModelName> = []
        try await mirror.retrying.pages({ try await mirror.primary.registeredModels($0) }) { page in
            for bad in page.undecodable {
                try await tally.unreadable(.registeredModel, bad.id ?? "?", bad.reason)
                if let name = bad.id { listed.insert(ModelName(name)) }
            }
            for model in page.elements {
                listed.insert(model.name)
                if model.isPrompt {
                    tally.leftOut("prompts")
                } else if !mirror.configuration.scope.contains(model.name) {
                    tally.leftOut("models outside the scope")
                } else {
                    tally.compared("registered models")
                    try await compare(model)
                }
            }
        }
        try await compareLeftRegisteredModels(besides: listed)
    }

    func compare(_ here: RegisteredModel) async throws {
        let key = EntityKey.registeredModel(here.name)
        guard let id = try mirror.state.secondaryID(.registeredModel, here.name.rawValue),
            let there = try await mirror.retrying({ try await mirror.secondary.registeredModel(ModelName(id)) })
        else {
            return try await tally.note([missing(.registeredModel, here.name.rawValue, nil)], repair: key)
        }
        let base = try mirror.state.identity(key.kind, key.id)?.base
        let isAdopted = Stamp.isForeign(base, there.tags)
        var fields = FieldComparison(.registeredModel, here.name.rawValue, there.name.rawValue)
        let tagsHere = RunComparison.dictionary(here.tags.filter { !$0.key.hasPrefix(Stamp.prefix) })
        var tagsThere = RunComparison.dictionary(mirror.followed(there.tags).filter { !$0.key.hasPrefix(Stamp.prefix) })
        if isAdopted { tagsThere = tagsThere.filter { tagsHere[$0.key] != nil || base?[.tag($0.key)] != nil } }
        fields.compare("tag:", tagsHere, tagsThere)
        // Theirs, where the primary has none.
        let isTheirs = isAdopted && here.description.isEmpty && base?[Base.Field("description")] == nil
        if !isTheirs { fields.compare("description", here.description, there.description) }

        let versionsHere = try await mirror.retrying { try await mirror.allVersions(mirror.primary, here.name) }
        let versionsThere = try await mirror.retrying { try await mirror.allVersions(mirror.secondary, there.name) }
        var byNumber: [Int: ModelVersion] = [:]
        var doubles: [ModelVersion] = []
        for version in versionsThere {
            guard let number = mirror.stamp.version(of: here.name, in: version.tags) else { continue }
            if byNumber[number] == nil { byNumber[number] = version } else { doubles.append(version) }
        }
        for version in versionsHere {
            tally.compared("model versions")
            let counterpart = byNumber.removeValue(forKey: version.number)
            if !isAdopted, let counterpart, counterpart.number != version.number {
                fields.compare("version:\(version.number):number", "\(version.number)", "\(counterpart.number)")
            }
            try await compare(version, counterpart, &fields)
        }
        for extra in byNumber.values.sorted(by: { $0.number < $1.number }) + doubles {
            fields.compare("version:\(extra.number)", nil, "extra")
        }
        let numbers = Dictionary(versionsHere.map { ($0.number, $0.number) }, uniquingKeysWith: { first, _ in first })
        var aliasesThere = there.aliases
        if !mirror.secondary.dialect.hasAliases {
            for version in versionsThere {
                for alias in version.tags.compactMap({ Stamp.alias(of: $0) }) {
                    if aliasesThere.updateValue(version.number, forKey: alias) != nil { fields.compare("alias:\(alias)", "once", "twice") }
                }
            }
            tally.converted("aliases as tags of versions", here.aliases.count)
        }
        if here.name != there.name { tally.converted("names of registered models") }
        if isAdopted { aliasesThere = aliasesThere.filter { here.aliases[$0.key] != nil } }
        fields.compare(
            "alias:", here.aliases.compactMapValues { numbers[$0].map { "\($0)" } },
            aliasesThere.mapValues { number in
                let version = versionsThere.first { $0.number == number }
                return "\(version.flatMap { mirror.stamp.version(of: here.name, in: $0.tags) } ?? number)"
            })
        try await note(fields.differences, repair: key, in: .model(here.name))
        try await compareFoundations(of: versionsHere)
    }

    private func compare(_ here: ModelVersion, _ there: ModelVersion?, _ fields: inout FieldComparison) async throws {
        let name = "version:\(here.number)"
        guard let there else { return fields.compare(name, "present", nil) }
        var found = References.find(in: here.tags + [Tag("", here.source)])
        if let run = here.run { found.runs.insert(run) }
        if let model = here.loggedModel { found.models.insert(model) }
        let map = try mirror.counterparts(of: found)
        fields.compare("\(name):primary source", mirror.shownSource(here), there.tags.first { $0.key == Stamp.sourceKey }?.value)
        fields.compare("\(name):stage", here.stage, there.stage)
        fields.compare("\(name):description", here.description, there.description)
        fields.compare("\(name):status", here.status, there.status)
        // A version of a logged model is one of the run that holds its files.
        if here.run != nil || mirror.secondary.dialect.hasLoggedModels {
            fields.compare("\(name):run", here.run.flatMap { map.runs[$0]?.rawValue }, there.run?.rawValue)
        }
        fields.compare("\(name):run_link", here.runLink ?? "", there.runLink ?? "")
        if mirror.secondary.dialect.registersOwnFilesOnly {
            let origin = try await mirror.retrying { try await mirror.origin(of: here) }
            switch try await mirror.retrying({ try await mirror.sourceThere(of: here, origin) }) {
            case .translated(let uri), .same(let uri): fields.compare("\(name):source", uri, there.source)
            case .refused(let why): fields.compare("\(name):source", why, there.source)
            }
            if here.source != there.source { tally.converted("sources of versions") }
        } else if case .translated(let uri) = VersionSource.translate(here.source, map, roots: []) {
            fields.compare("\(name):source", uri, there.source)
        }
        let tags = RunImage.rewritten(here.tags, map).filter { !$0.key.hasPrefix(Stamp.prefix) }
        fields.compare(
            "\(name):tag:", RunComparison.dictionary(tags),
            RunComparison.dictionary(mirror.followed(there.tags).filter { !$0.key.hasPrefix(Stamp.prefix) }))
    }
}
