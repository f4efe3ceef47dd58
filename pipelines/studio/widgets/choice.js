// One attribute and the places it can come from, as radio buttons in a row. Emits "change" with the key of the choice.
let count = 0;

export default {
  template: `
    <fieldset class="choice" :disabled="disabled">
      <legend>{{ label }}</legend>
      <div class="choice__row">
        <label v-for="option in options" :key="option.key" :title="option.title" :class="{'choice--on': option.key === chosen}">
          <input type="radio" :name="uid" :value="option.key" :checked="option.key === chosen" @change="pick(option.key)" />
          <span>{{ option.text }}</span>
        </label>
      </div>
    </fieldset>`,
  emits: ["change"],  // declared, so that the inner input's own event is not taken for it
  props: { label: String, options: Array, initial: String, disabled: Boolean },
  data() {
    return { chosen: this.initial, uid: "choice-" + ++count };
  },
  methods: {
    pick(key) {
      this.chosen = key;
      this.$emit("change", key);
    },
    set(key) { this.chosen = key; },
  },
};
