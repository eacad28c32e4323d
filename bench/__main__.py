"""`python -m bench`: every measurement against other software, in one run."""

from bench import generation, gpt, grading, language_model, tokenizer, training

if __name__ == "__main__":
    tokenizer.main()
    language_model.main()
    gpt.main()
    generation.main()
    training.main()
    grading.main()
