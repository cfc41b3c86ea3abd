/* wire/toml.cc - toml++'s tree to json_t with places. The only C++ here: Debian 12 has no TOML
 * library for C, and toml++ is strict and keeps the place of every node. No exception leaves this
 * file. */
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include <toml++/toml.h>

/* Our headers are C; the system's that they include know C++ and were included above. */
extern "C" {
#include "wire/toml_internal.h"
}

namespace
{

/* Errors of ours on the way up; the text is in the struct error already. */
struct failure {
};

class loader
{
  public:
    loader(struct doc *doc, unsigned flags, struct error *err) : doc_(doc), flags_(flags), err_(err)
    {
    }

    json_t *read(const toml::node &node, unsigned depth)
    {
        if (++nodes_ > DOC_NODES_MAX)
            fail(ERR_LIMIT, node, "more than " + std::to_string(DOC_NODES_MAX) + " values");
        if (depth > DOC_DEPTH_MAX)
            fail(ERR_LIMIT, node, "nested more than " + std::to_string(DOC_DEPTH_MAX) + " deep");
        if (const toml::table *table = node.as_table())
            return read_table(*table, depth);
        if (const toml::array *array = node.as_array())
            return read_array(*array, depth);
        return read_value(node);
    }

  private:
    struct doc *doc_;
    unsigned flags_;
    struct error *err_;
    size_t nodes_ = 0;

    struct place place_of(const toml::source_region &source) const
    {
        struct place place = {doc_file(doc_), source.begin.line, source.begin.column};
        return place;
    }

    [[noreturn]] void fail(enum error_kind kind, const toml::node &node, const std::string &text)
    {
        error_at(err_, kind, place_of(node.source()), "%s", text.c_str());
        throw failure{};
    }

    json_t *check(json_t *value)
    {
        if (!value)
            throw std::bad_alloc{};
        return value;
    }

    void check(int result)
    {
        if (result < 0)
            throw failure{};
    }

    /* toml++ sorts keys; people expect them as they were written. */
    json_t *read_table(const toml::table &table, unsigned depth)
    {
        std::vector<std::pair<const toml::key *, const toml::node *>> members;
        for (auto &&[key, node] : table)
            members.emplace_back(&key, &node);
        std::stable_sort(members.begin(), members.end(), [](const auto &a, const auto &b) {
            return a.first->source().begin < b.first->source().begin;
        });
        json_t *object = check(json_object());
        try {
            for (const auto &[key, node] : members)
                add_member(object, *key, *node, depth);
            check(doc_note_container(doc_, object, place_of(table.source()), err_));
        } catch (...) {
            json_decref(object);
            throw;
        }
        return object;
    }

    void add_member(json_t *object, const toml::key &key, const toml::node &node, unsigned depth)
    {
        std::string_view name = key.str();
        if (name.find('\0') != name.npos)
            fail(ERR_INVALID, node, "key with a NUL character");
        json_t *value = read(node, depth + 1);
        if (json_object_setn_new(object, name.data(), name.size(), value) < 0)
            throw std::bad_alloc{};
        struct str text = {name.data(), name.size()};
        check(doc_note_key(doc_, object, text, place_of(key.source()), place_of(node.source()),
                           err_));
    }

    json_t *read_array(const toml::array &array, unsigned depth)
    {
        json_t *list = check(json_array());
        try {
            size_t index = 0;
            for (const toml::node &node : array) {
                json_t *value = read(node, depth + 1);
                if (json_array_append_new(list, value) < 0)
                    throw std::bad_alloc{};
                check(doc_note_item(doc_, list, index++, place_of(node.source()), err_));
            }
            check(doc_note_container(doc_, list, place_of(array.source()), err_));
        } catch (...) {
            json_decref(list);
            throw;
        }
        return list;
    }

    json_t *read_text(const toml::node &node, const std::string &text)
    {
        if (!(flags_ & DOC_ALLOW_NUL) && text.find('\0') != text.npos)
            fail(ERR_INVALID, node, "text with a NUL character");
        return check(json_stringn(text.data(), text.size()));
    }

    template <typename T> json_t *read_printed(const T &value)
    {
        std::ostringstream text;
        text << value;
        return check(json_string(text.str().c_str()));
    }

    json_t *read_value(const toml::node &node)
    {
        if (const auto *text = node.as_string())
            return read_text(node, text->get());
        if (const auto *number = node.as_integer())
            return check(json_integer(number->get()));
        if (const auto *flag = node.as_boolean())
            return json_boolean(flag->get());
        if (const auto *date = node.as_date())
            return read_printed(date->get());
        if (const auto *time = node.as_time())
            return read_printed(time->get());
        if (const auto *moment = node.as_date_time())
            return read_printed(moment->get());
        const auto *real = node.as_floating_point();
        if (!real || !std::isfinite(real->get()))
            fail(ERR_INVALID, node, "inf and nan cannot be said in JSON");
        return check(json_real(real->get()));
    }
};

} // namespace

int toml_load(const char *file, struct str text, unsigned flags, struct doc **ret,
              struct error *err)
{
    struct doc *doc = doc_new(file);

    if (!doc)
        return error_no_memory(err);
    try {
        toml::table root = toml::parse(std::string_view(text.ptr ? text.ptr : "", text.len));
        doc_set_root(doc, loader(doc, flags, err).read(root, 0));
        *ret = doc;
        return 0;
    } catch (const toml::parse_error &fault) {
        const toml::source_position at = fault.source().begin;
        std::string reason(fault.description());
        if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z')
            reason[0] = static_cast<char>(reason[0] - 'A' + 'a'); /* as all our texts start */
        struct place place = {file, at.line, at.column};
        error_at(err, ERR_INVALID, place, "%.*s", static_cast<int>(reason.size()), reason.data());
    } catch (const failure &) {
        /* err says what */
    } catch (const std::bad_alloc &) {
        error_no_memory(err);
    } catch (const std::exception &other) {
        error_set(err, ERR_INTERNAL, "reading TOML: %s", other.what());
    }
    doc_free(doc);
    return -1;
}
