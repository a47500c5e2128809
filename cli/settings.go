package cli

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"kakehashi/config"
)

// settingsGroup marks the flags that are settings: their help is config's.
const settingsGroup = "settings"

// SettingFlags gives a command --config and a flag for every setting. Embed it,
// and make it by NewSettingFlags.
type SettingFlags struct {
	Config string `placeholder:"FILE"`
	Values any    `embed:""` // pointer to a struct made from config.Fields
}

// settingFlags is the struct: a pointer for each setting, so that what is not
// given is told from what is given as empty.
var settingFlags = sync.OnceValue(func() reflect.Type {
	var fields []reflect.StructField
	for i, f := range config.Fields() {
		typ := reflect.TypeFor[*string]()
		if f.Bool {
			typ = reflect.TypeFor[*bool]()
		}
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: typ,
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q group:%q`, f.Flag(), settingsGroup)),
		})
	}
	return reflect.StructOf(fields)
})

// NewSettingFlags makes the flags of all settings.
func NewSettingFlags() SettingFlags {
	return SettingFlags{Values: reflect.New(settingFlags()).Interface()}
}

// given are the flags that stood on the command line, by setting.
func (s SettingFlags) given() map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(s.Values).Elem()
	for i, f := range config.Fields() {
		switch p := v.Field(i).Interface().(type) {
		case *string:
			if p != nil {
				out[f.Name] = *p
			}
		case *bool:
			if p != nil {
				out[f.Name] = fmt.Sprint(*p)
			}
		}
	}
	return out
}

// Load reads the settings as the command line, the environment and the file
// say. The error is config.Faults; returned from Run it is listed whole.
func (s SettingFlags) Load(c *Context) (config.Settings, error) {
	return config.Load(config.Source{Path: s.Config, Env: c.LookupEnv, Flags: s.given()})
}

type settingsCommand struct{}

func (settingsCommand) Run(c *Context) error {
	if !c.JSON {
		return c.put(c.Stdout, config.Reference(c.Lang()))
	}
	type setting struct {
		Name    string   `json:"name"`
		Env     string   `json:"env"`
		Flag    string   `json:"flag"`
		Default string   `json:"default"`
		Choices []string `json:"choices,omitempty"`
		List    bool     `json:"list"`
		Doc     string   `json:"doc"`
	}
	out := struct {
		Settings []setting `json:"settings"`
	}{}
	for _, f := range config.Fields() {
		out.Settings = append(out.Settings, setting{f.Name, f.Env(), "--" + f.Flag(), f.Default, f.Choices, f.List, f.Doc(c.Lang())})
	}
	return c.Emit(out)
}

type configCommand struct {
	Check checkCommand `cmd:""`
}

type checkCommand struct{ SettingFlags }

func (k checkCommand) Run(c *Context) error {
	s, err := k.Load(c)
	if err != nil {
		return err
	}
	set := []string{}
	for _, f := range config.Fields() {
		if s.Place(f.Name) != "" {
			set = append(set, f.Name)
		}
	}
	if err := c.Emit(map[string]any{"ok": true, "set": set, "public_url": s.PublicURL}); err != nil {
		return err
	}
	return c.Say(c.Text.T("config.fine", "set", len(set), "defaults", len(config.Fields())-len(set), "names", strings.Join(set, ", ")))
}
