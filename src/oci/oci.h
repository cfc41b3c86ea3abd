/* oci/oci.h - images: where they lie, how they are made, moved and run.
 *
 * Takes and gives: OCI image layouts on disk (image-spec 1.1), the distribution API over HTTP, and
 * running containers (runtime-spec, by crun). Manifests and configs are json_t in their standard
 * shapes. Everything that comes from outside is hostile here: digests are verified on the way in,
 * sizes have limits, archives are written through openat2. Read layout.h first.
 *
 *   reference.h        "host/repo:tag@digest" → its parts        descriptor.h   digest, size, media
 * type layout.h           the store: blobs, manifests, tags, referrers, cache layer.h folder or
 * explicit entries → a reproducible compressed layer unpack.h           layer → folder for
 * overlayfs; entries of a layer one by one image.h            manifest + config: read, build, pick
 * a platform registry_client.h  pull, push, copy with referrers, long poll     registry_server.h
 * the same, served runtime.h          config.json, overlay mount, crun: start, exec, kill, delete
 */
#pragma once
